package worktree

import (
	"bytes"
	"io"
	"io/fs"
	"time"
)

// fileInfo implements fs.FileInfo. Files have no time: nothing that is rendered may depend on it.
type fileInfo struct {
	name string
	size int64
	mode fs.FileMode
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return i.mode }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) IsDir() bool        { return i.mode.IsDir() }
func (i fileInfo) Sys() any           { return nil }

// dirEntry is an entry as it stands in its folder: links and submodules are shown as such.
type dirEntry struct {
	tree  *Tree
	path  string
	entry entry
}

func (e dirEntry) Name() string      { return e.entry.name }
func (e dirEntry) IsDir() bool       { return e.entry.mode.IsDir() }
func (e dirEntry) Type() fs.FileMode { return e.entry.mode.Type() }

// Info is that of the entry itself, be it a link.
func (e dirEntry) Info() (fs.FileInfo, error) {
	if e.entry.mode&(fs.ModeSymlink|fs.ModeIrregular) != 0 {
		return fileInfo{name: e.entry.name, mode: e.entry.mode}, nil
	}
	return e.tree.Stat(e.path)
}

type openFile struct {
	*bytes.Reader
	info fs.FileInfo
}

func newOpenFile(info fs.FileInfo, data []byte) *openFile {
	return &openFile{bytes.NewReader(data), info}
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	info    fs.FileInfo
	entries []fs.DirEntry
	offset  int
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.Name(), Err: fs.ErrInvalid}
}

// ReadDir follows the contract of fs.ReadDirFile.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	left := d.entries[d.offset:]
	if n > 0 && len(left) == 0 {
		return nil, io.EOF
	}
	if n > 0 && n < len(left) {
		left = left[:n]
	}
	d.offset += len(left)
	return left, nil
}

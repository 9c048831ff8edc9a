// Package files has what trees of files have in common, be they of a commit or of a folder: open files and folders as package
// io/fs wants them.
package files

import (
	"bytes"
	"io"
	"io/fs"
	"time"
)

// Info implements fs.FileInfo.
type Info struct {
	Base   string
	Length int64
	Bits   fs.FileMode
	// When is zero for trees without times: nothing that is rendered may depend on them.
	When time.Time
}

// Name of the file in its folder.
func (i Info) Name() string { return i.Base }

// Size in bytes.
func (i Info) Size() int64 { return i.Length }

// Mode says what it is.
func (i Info) Mode() fs.FileMode { return i.Bits }

// ModTime is When.
func (i Info) ModTime() time.Time { return i.When }

// IsDir says whether it is a folder.
func (i Info) IsDir() bool { return i.Bits.IsDir() }

// Sys is nothing.
func (i Info) Sys() any { return nil }

// Open a file with this content.
func Open(info fs.FileInfo, data []byte) fs.File { return &file{bytes.NewReader(data), info} }

type file struct {
	*bytes.Reader
	info fs.FileInfo
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }

// OpenDir opens a folder with these entries.
func OpenDir(info fs.FileInfo, entries []fs.DirEntry) fs.ReadDirFile {
	return &folder{info: info, entries: entries}
}

type folder struct {
	info    fs.FileInfo
	entries []fs.DirEntry
	offset  int
}

func (d *folder) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *folder) Close() error               { return nil }

func (d *folder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.Name(), Err: fs.ErrInvalid}
}

// ReadDir follows the contract of fs.ReadDirFile.
func (d *folder) ReadDir(n int) ([]fs.DirEntry, error) {
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

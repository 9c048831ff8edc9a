package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
)

// files are those of a chart in memory, rooted at its folder.
type files struct {
	data    map[string][]byte
	folders map[string][]fs.DirEntry
}

var (
	_ fs.ReadFileFS = (*files)(nil)
	_ fs.ReadDirFS  = (*files)(nil)
	_ fs.StatFS     = (*files)(nil)
)

// unpack reads a packaged chart. Helm's reader refuses paths that lead out of it, and files and charts that are too large.
func unpack(data []byte) (map[string][]byte, error) {
	read, err := archive.LoadArchiveFiles(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("it is no packaged chart: %w", err)
	}
	out := make(map[string][]byte, len(read))
	for _, file := range read {
		if !fs.ValidPath(file.Name) {
			return nil, fmt.Errorf("it is no packaged chart: path %q", file.Name)
		}
		out[file.Name] = file.Data
	}
	if _, ok := out["Chart.yaml"]; !ok {
		return nil, errors.New("it is no packaged chart: Chart.yaml is missing")
	}
	return out, nil
}

func newFiles(data map[string][]byte) *files {
	f := &files{data: data, folders: map[string][]fs.DirEntry{".": nil}}
	for name, content := range data {
		f.enter(name, info{name: path.Base(name), size: int64(len(content))})
	}
	for _, entries := range f.folders {
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return f
}

// enter adds an entry to its folder, and the folder to its own.
func (f *files) enter(name string, entry info) {
	folder := path.Dir(name)
	_, known := f.folders[folder]
	f.folders[folder] = append(f.folders[folder], fs.FileInfoToDirEntry(entry))
	if !known {
		f.enter(folder, info{name: path.Base(folder), folder: true})
	}
}

// Open implements fs.FS.
func (f *files) Open(name string) (fs.File, error) {
	about, err := f.Stat(name)
	if err != nil {
		return nil, err
	}
	if about.IsDir() {
		return &folder{info: about.(info), entries: f.folders[name]}, nil
	}
	return &file{Reader: bytes.NewReader(f.data[name]), info: about.(info)}, nil
}

// Stat implements fs.StatFS.
func (f *files) Stat(name string) (fs.FileInfo, error) {
	if data, ok := f.data[name]; ok {
		return info{name: path.Base(name), size: int64(len(data))}, nil
	}
	if _, ok := f.folders[name]; ok {
		return info{name: path.Base(name), folder: true}, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadFile implements fs.ReadFileFS.
func (f *files) ReadFile(name string) ([]byte, error) {
	if data, ok := f.data[name]; ok {
		return bytes.Clone(data), nil
	}
	return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
}

// ReadDir implements fs.ReadDirFS.
func (f *files) ReadDir(name string) ([]fs.DirEntry, error) {
	if entries, ok := f.folders[name]; ok {
		return slices.Clone(entries), nil
	}
	return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
}

type info struct {
	name   string
	size   int64
	folder bool
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) IsDir() bool        { return i.folder }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) Sys() any           { return nil }
func (i info) Mode() fs.FileMode {
	if i.folder {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

type file struct {
	*bytes.Reader
	info info
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }

type folder struct {
	info    info
	entries []fs.DirEntry
}

func (f *folder) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *folder) Close() error               { return nil }
func (f *folder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.info.name, Err: errors.New("is a folder")}
}

// ReadDir implements fs.ReadDirFile.
func (f *folder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		out := f.entries
		f.entries = nil
		return slices.Clone(out), nil
	}
	if len(f.entries) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(f.entries))
	out := f.entries[:n]
	f.entries = f.entries[n:]
	return slices.Clone(out), nil
}

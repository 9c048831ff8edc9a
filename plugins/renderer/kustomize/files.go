package kustomize

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// maxBytes bounds what one build reads.
const maxBytes = 64 << 20

// files shows the repository to the library, which wants absolute paths: "/" is the repository's root, so that ".." cannot
// lead out of it.
type files struct {
	ctx  context.Context
	from fs.FS
	// read keeps what was read: the library reads many files twice.
	read map[string][]byte
	size int
}

var _ filesys.FileSystem = (*files)(nil)

var errReadOnly = errors.New("the repository is not written to")

// inside turns the library's path into one of fs.FS.
func inside(name string) string {
	clean := path.Clean("/" + filepath.ToSlash(name))
	if clean == "/" {
		return "."
	}
	return clean[1:]
}

// ReadFile reads a file once.
func (f *files) ReadFile(name string) ([]byte, error) {
	name = inside(name)
	if data, ok := f.read[name]; ok {
		return data, nil
	}
	if err := context.Cause(f.ctx); err != nil {
		return nil, err
	}
	data, err := fs.ReadFile(f.from, name)
	if err != nil {
		return nil, err
	}
	if f.size += len(data); f.size > maxBytes {
		return nil, fmt.Errorf("the kustomization reads more than %d bytes", maxBytes)
	}
	f.read[name] = data
	return data, nil
}

// CleanedAbs parts a path into folder and file.
func (f *files) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	name = inside(name)
	info, err := fs.Stat(f.from, name)
	if err != nil {
		return "", "", fmt.Errorf("'/%s' doesn't exist", name)
	}
	if info.IsDir() {
		return filesys.ConfirmedDir(path.Join("/", name)), "", nil
	}
	folder, file := path.Split("/" + name)
	return filesys.ConfirmedDir(path.Clean(folder)), file, nil
}

// IsDir of a path.
func (f *files) IsDir(name string) bool {
	info, err := fs.Stat(f.from, inside(name))
	return err == nil && info.IsDir()
}

// Exists says whether there is a file or folder.
func (f *files) Exists(name string) bool {
	_, err := fs.Stat(f.from, inside(name))
	return err == nil
}

// Glob matches paths.
func (f *files) Glob(pattern string) ([]string, error) {
	found, err := fs.Glob(f.from, inside(pattern))
	for i := range found {
		found[i] = "/" + found[i]
	}
	return found, err
}

// ReadDir lists a folder.
func (f *files) ReadDir(name string) ([]string, error) {
	entries, err := fs.ReadDir(f.from, inside(name))
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, err
}

// Walk a folder.
func (f *files) Walk(name string, do filepath.WalkFunc) error {
	return fs.WalkDir(f.from, inside(name), func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return do("/"+name, nil, err)
		}
		info, err := entry.Info()
		return do("/"+name, info, err)
	})
}

// Open is not used for reading.
func (*files) Open(string) (filesys.File, error) { return nil, errReadOnly }

// Create is refused.
func (*files) Create(string) (filesys.File, error) { return nil, errReadOnly }

// Mkdir is refused.
func (*files) Mkdir(string) error { return errReadOnly }

// MkdirAll is refused.
func (*files) MkdirAll(string) error { return errReadOnly }

// RemoveAll is refused.
func (*files) RemoveAll(string) error { return errReadOnly }

// WriteFile is refused.
func (*files) WriteFile(string, []byte) error { return errReadOnly }

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// outside says whether a path, relative to a folder, leads out of the repository.
func outside(folder, name string) bool {
	full := path.Join(folder, name)
	return path.IsAbs(name) || full == ".." || strings.HasPrefix(full, "../")
}

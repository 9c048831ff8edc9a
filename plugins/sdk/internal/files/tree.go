// Package files is the plugin's side of the trees that the host serves: an fs.FS whose every look goes to the host, unless
// the content is known from before.
package files

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	pluginv1 "github.com/periplus-fleet/periplus/api/proto/periplus/plugin/v1"
	"github.com/periplus-fleet/periplus/plugins/internal/wire"
)

// Tree is one tree of one call: it ends with the call's context, and does not change before. It has ReadFile, ReadDir and Stat, so that each of them
// is one question to the host.
type Tree struct {
	Context context.Context
	Client  pluginv1.FilesClient
	ID      uint64
	// Cache holds what was read under Key. Where no Key says that others see the same, it is the tree's own.
	Cache *Cache
	Key   string
}

// own is what a tree without a key remembers of listed folders.
const own = 8 << 20

// New is a tree that shares the cache under the key, or shares nothing where key is "".
func New(ctx context.Context, client pluginv1.FilesClient, id uint64, shared *Cache, key string) *Tree {
	if key == "" {
		shared = NewCache(own)
	}
	return &Tree{Context: ctx, Client: client, ID: id, Cache: shared, Key: key}
}

var (
	_ fs.ReadFileFS = (*Tree)(nil)
	_ fs.ReadDirFS  = (*Tree)(nil)
	_ fs.StatFS     = (*Tree)(nil)
)

// Open reads the whole file or folder.
func (t *Tree) Open(name string) (fs.File, error) {
	found, err := t.stat("open", name)
	if err != nil {
		return nil, err
	}
	if found.IsDir() {
		entries, err := t.ReadDir(name)
		return &folder{info: found, entries: entries}, err
	}
	data, err := t.read("open", name)
	return &file{info: found, Reader: bytes.NewReader(data)}, err
}

// ReadFile returns bytes that are the caller's.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	data, err := t.read("read", name)
	return slices.Clone(data), err
}

// ReadDir is sorted.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	found, err := ask(t, "list", "readdir", name, func(request *pluginv1.FileRequest) (any, int, error) {
		answer, err := t.Client.List(t.Context, request)
		t.learn(name, answer)
		return answer, 64 * len(answer.GetFiles()), err
	})
	if err != nil {
		return nil, err
	}
	entries := make([]fs.DirEntry, 0, len(found.(*pluginv1.ListResponse).GetFiles()))
	for _, one := range found.(*pluginv1.ListResponse).GetFiles() {
		entries = append(entries, fs.FileInfoToDirEntry(info{one}))
	}
	return entries, nil
}

// Stat follows symbolic links.
func (t *Tree) Stat(name string) (fs.FileInfo, error) { return t.stat("stat", name) }

func (t *Tree) stat(op, name string) (fs.FileInfo, error) {
	found, err := ask(t, "stat", op, name, func(request *pluginv1.FileRequest) (any, int, error) {
		answer, err := t.Client.Stat(t.Context, request)
		return answer, 64, err
	})
	if err != nil {
		return nil, err
	}
	return info{found.(*pluginv1.File)}, nil
}

func (t *Tree) read(op, name string) ([]byte, error) {
	found, err := ask(t, "read", op, name, func(request *pluginv1.FileRequest) (any, int, error) {
		answer, err := t.Client.Read(t.Context, request)
		return answer.GetData(), len(answer.GetData()), err
	})
	if err != nil {
		return nil, err
	}
	return found.([]byte), nil
}

// ask looks into the cache first. That a file does not exist is as good to know as what is in it.
func ask(t *Tree, kind, op, name string, question func(*pluginv1.FileRequest) (answer any, size int, err error)) (any, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	key := cacheKey{key: t.Key, kind: kind, path: name}
	if known, ok := t.Cache.get(key); ok {
		return known.value, known.err
	}
	value, size, err := question(&pluginv1.FileRequest{Tree: t.ID, Path: name})
	if err != nil {
		value, size, err = nil, 64, &fs.PathError{Op: op, Path: name, Err: cause(err)}
	}
	if err == nil || t.Key != "" && errors.Is(err, fs.ErrNotExist) {
		t.Cache.put(key, known{value: value, err: err, size: size + len(name) + len(t.Key)})
	}
	return value, err
}

// learn keeps what a listing told of the files in it.
func (t *Tree) learn(folder string, listed *pluginv1.ListResponse) {
	for _, file := range listed.GetFiles() {
		if file.Data == nil {
			continue
		}
		data, name := file.Data, path.Join(folder, file.GetName())
		file.Data = nil
		t.Cache.put(cacheKey{key: t.Key, kind: "read", path: name}, known{value: data, size: len(data) + len(name) + len(t.Key)})
		t.Cache.put(cacheKey{key: t.Key, kind: "stat", path: name}, known{value: file, size: 64 + len(name) + len(t.Key)})
	}
}

// cause drops the text of the host's own PathError, which would name the path twice.
func cause(err error) error {
	err = wire.FromStatus(err)
	for _, plain := range []error{fs.ErrNotExist, fs.ErrPermission} {
		if errors.Is(err, plain) {
			return plain
		}
	}
	return err
}

type info struct{ file *pluginv1.File }

func (i info) Name() string       { return path.Base(i.file.GetName()) }
func (i info) Size() int64        { return i.file.GetSize() }
func (i info) Mode() fs.FileMode  { return fs.FileMode(i.file.GetMode()) }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.Mode().IsDir() }
func (i info) Sys() any           { return nil }

type file struct {
	info fs.FileInfo
	*bytes.Reader
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }

type folder struct {
	info    fs.FileInfo
	entries []fs.DirEntry
}

func (f *folder) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *folder) Close() error               { return nil }

func (f *folder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.info.Name(), Err: errors.New("is a folder")}
}

func (f *folder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(f.entries)
	} else if len(f.entries) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(f.entries))
	out := f.entries[:n]
	f.entries = f.entries[n:]
	return out, nil
}

package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"

	"github.com/periplus-fleet/periplus/plugins/sdk/decrypter"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

var errDecrypt = errors.New("cannot decrypt")

// openTree shows a renderer the files of a tree with those that SOPS encrypted opened. It lives for one rendering: what was
// opened is kept nowhere else.
type openTree struct {
	fs.FS
	// The interface of file systems has no place for it.
	ctx       context.Context
	decrypter decrypter.Decrypter

	mu     sync.Mutex
	opened map[string][]byte
	failed error
}

// failure is the first file that could not be opened. A renderer that is another process says only that it could not read.
func (t *openTree) failure() error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// ReadFile is the plaintext.
func (t *openTree) ReadFile(name string) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if data, ok := t.opened[name]; ok {
		return bytes.Clone(data), nil
	}
	data, err := fs.ReadFile(t.FS, name)
	format := formatOf(name)
	if err != nil || !encrypted(format, data) {
		return data, err
	}
	plain, err := t.decrypter.Decrypt(t.ctx, decrypter.Request{Path: name, Format: format, Data: data})
	if err != nil {
		if at := new(renderer.Error); !errors.As(err, &at) {
			err = renderer.Refuse(name, 0, "%v", err)
		}
		t.failed = fmt.Errorf("%w: %w", errDecrypt, err)
		return nil, t.failed
	}
	if t.opened == nil {
		t.opened = map[string][]byte{}
	}
	t.opened[name] = plain
	return bytes.Clone(plain), nil
}

// Open serves plaintext as ReadFile does.
func (t *openTree) Open(name string) (fs.File, error) {
	file, err := t.FS.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return file, err
	}
	data, err := t.ReadFile(name)
	_ = file.Close()
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openedFile{Reader: bytes.NewReader(data), info: openedInfo{info, int64(len(data))}}, nil
}

// ReadDir and Stat are the tree's own.
func (t *openTree) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(t.FS, name) }

// Stat of a file says the size of what ReadFile returns.
func (t *openTree) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(t.FS, name)
	if err != nil || !info.Mode().IsRegular() {
		return info, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if data, ok := t.opened[name]; ok {
		return openedInfo{info, int64(len(data))}, nil
	}
	return info, nil
}

type openedFile struct {
	*bytes.Reader
	info fs.FileInfo
}

func (f *openedFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openedFile) Close() error               { return nil }

type openedInfo struct {
	fs.FileInfo
	size int64
}

func (i openedInfo) Size() int64 { return i.size }

func formatOf(name string) string {
	switch path.Ext(name) {
	case ".yaml", ".yml":
		return "yaml"
	case ".json":
		return "json"
	case ".env":
		return "dotenv"
	case ".ini":
		return "ini"
	default:
		return "binary"
	}
}

// marks of SOPS's own metadata in each format.
var marks = map[string][]byte{"yaml": []byte("\nsops:"), "json": []byte(`"sops"`), "dotenv": []byte("sops_mac="), "ini": []byte("[sops]"), "binary": []byte(`"sops"`)}

// encrypted says whether SOPS wrote a file. Its MAC is encrypted whatever else is.
func encrypted(format string, data []byte) bool {
	return bytes.Contains(data, []byte(encryptedPrefix+"AES256_GCM,")) &&
		(bytes.Contains(data, marks[format]) || bytes.HasPrefix(data, bytes.TrimSpace(marks[format])))
}

package files_test

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"google.golang.org/grpc"

	pluginv1 "github.com/periplus-fleet/periplus/api/proto/periplus/plugin/v1"
	"github.com/periplus-fleet/periplus/plugins/internal/wire"
	"github.com/periplus-fleet/periplus/plugins/sdk/internal/files"
)

// served is the host's side without a process between, and counts what it is asked.
type served struct {
	tree  fs.FS
	small bool
	asked int
}

func (s *served) Read(_ context.Context, in *pluginv1.FileRequest, _ ...grpc.CallOption) (*pluginv1.ReadResponse, error) {
	s.asked++
	data, err := fs.ReadFile(s.tree, in.GetPath())
	return &pluginv1.ReadResponse{Data: data}, wire.ToStatus(err)
}

func (s *served) List(_ context.Context, in *pluginv1.FileRequest, _ ...grpc.CallOption) (*pluginv1.ListResponse, error) {
	s.asked++
	entries, err := fs.ReadDir(s.tree, in.GetPath())
	out := &pluginv1.ListResponse{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return nil, wire.ToStatus(err)
		}
		one := &pluginv1.File{Name: entry.Name(), Mode: uint32(info.Mode()), Size: info.Size()}
		if s.small && !entry.IsDir() {
			one.Data, _ = fs.ReadFile(s.tree, in.GetPath()+"/"+entry.Name())
		}
		out.Files = append(out.Files, one)
	}
	return out, wire.ToStatus(err)
}

func (s *served) Stat(_ context.Context, in *pluginv1.FileRequest, _ ...grpc.CallOption) (*pluginv1.File, error) {
	s.asked++
	info, err := fs.Stat(s.tree, in.GetPath())
	if err != nil {
		return nil, wire.ToStatus(err)
	}
	return &pluginv1.File{Name: info.Name(), Mode: uint32(info.Mode()), Size: info.Size()}, nil
}

func repository() fstest.MapFS {
	return fstest.MapFS{"a/b/one.yaml": {Data: []byte("one")}, "a/b/two.yaml": {Data: []byte("two")}, "a/empty": {Data: nil}}
}

func TestTreeIsAFileSystem(t *testing.T) {
	for name, small := range map[string]bool{"Asked": false, "Sent": true} {
		for key := range map[string]bool{"": true, "known": true} {
			t.Run(name+key, func(t *testing.T) {
				tree := files.New(t.Context(), &served{tree: repository(), small: small}, 1, files.NewCache(1<<20), key)
				if err := fstest.TestFS(tree, "a/b/one.yaml", "a/b/two.yaml", "a/empty"); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestCache(t *testing.T) {
	shared := files.NewCache(1 << 20)
	served := &served{tree: repository(), small: true}
	read := func(key, name string) (string, error) {
		data, err := fs.ReadFile(files.New(t.Context(), served, 1, shared, key), name)
		return string(data), err
	}
	listed := files.New(t.Context(), served, 1, shared, "x")
	if _, err := fs.ReadDir(listed, "a/b"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := read("x", "a/b/one.yaml"); err != nil || got != "one" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if served.asked != 1 {
		t.Errorf("a listed folder and two small files of it cost %d questions, want 1", served.asked)
	}
	if _, err := read("x", "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	served.tree = fstest.MapFS{"a/b/one.yaml": {Data: []byte("changed")}, "none": {}}
	if _, err := read("x", "none"); !errors.Is(err, fs.ErrNotExist) || served.asked != 2 {
		t.Errorf("that a file is not there was asked again: %v, %d questions", err, served.asked)
	}
	for _, key := range []string{"y", ""} {
		if got, _ := read(key, "a/b/one.yaml"); got != "changed" {
			t.Errorf("key %q: got %q, which is other content's", key, got)
		}
	}
	mine, _ := fs.ReadFile(files.New(t.Context(), served, 1, shared, "x"), "a/b/one.yaml")
	mine[0] = 'X'
	if got, _ := read("x", "a/b/one.yaml"); got != "one" {
		t.Errorf("what a caller wrote into its bytes is kept: %q", got)
	}
}

func TestCacheIsBounded(t *testing.T) {
	served := &served{tree: repository()}
	shared := files.NewCache(100)
	tree := files.New(t.Context(), served, 1, shared, "x")
	for range 3 {
		for _, name := range []string{"a/b/one.yaml", "a/b/two.yaml", "a/empty", "none1", "none2"} {
			_, _ = tree.ReadFile(name)
		}
	}
	if served.asked < 9 {
		t.Errorf("%d questions for 15 reads of five files: a cache of 100 bytes holds them all", served.asked)
	}
}

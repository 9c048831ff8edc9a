package host

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/periplus-fleet/periplus/api/proto/periplus/plugin/v1"
	"github.com/periplus-fleet/periplus/plugins/internal/wire"
)

// files serves the trees of the call that a process holds.
type files struct {
	pluginv1.UnimplementedFilesServer

	mu    sync.Mutex
	next  uint64
	trees map[uint64]fs.FS
}

// share serves a tree until it is released. Numbers are never used twice.
func (f *files) share(tree fs.FS) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next++
	f.trees[f.next] = tree
	return f.next
}

// release ends all trees.
func (f *files) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.trees)
}

func (f *files) find(request *pluginv1.FileRequest) (fs.FS, error) {
	if !fs.ValidPath(request.GetPath()) {
		return nil, status.Errorf(codes.InvalidArgument, "the path %q is not of the form a/b", request.GetPath())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	tree, ok := f.trees[request.GetTree()]
	if !ok {
		return nil, status.Errorf(codes.InvalidArgument, "tree %d belongs to no call that is held", request.GetTree())
	}
	return tree, nil
}

// Read answers a whole file.
func (f *files) Read(_ context.Context, request *pluginv1.FileRequest) (*pluginv1.ReadResponse, error) {
	tree, err := f.find(request)
	if err != nil {
		return nil, err
	}
	data, err := fs.ReadFile(tree, request.GetPath())
	if err != nil {
		return nil, wire.ToStatus(err)
	}
	if len(data) > wire.MaxFile {
		return nil, status.Error(codes.ResourceExhausted, fmt.Sprintf("%s has %s; plugins read files of at most %s",
			request.GetPath(), size(int64(len(data))), size(wire.MaxFile)))
	}
	return &pluginv1.ReadResponse{Data: data}, nil
}

// A plugin that lists a folder mostly reads what is in it, and each question costs more than the bytes of small files.
const (
	smallFile  = 64 << 10
	smallFiles = 1 << 20
)

// List answers what is in a folder.
func (f *files) List(_ context.Context, request *pluginv1.FileRequest) (*pluginv1.ListResponse, error) {
	tree, err := f.find(request)
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(tree, request.GetPath())
	if err != nil {
		return nil, wire.ToStatus(err)
	}
	out := &pluginv1.ListResponse{Files: make([]*pluginv1.File, 0, len(entries))}
	left := int64(smallFiles)
	for _, entry := range entries {
		one := &pluginv1.File{Name: entry.Name(), Mode: uint32(entry.Type())}
		if info, err := entry.Info(); err == nil {
			one.Mode, one.Size = uint32(info.Mode()), info.Size()
		}
		if entry.Type().IsRegular() && one.Size <= min(smallFile, left) {
			// What cannot be read is told when it is asked for.
			if data, err := fs.ReadFile(tree, path.Join(request.GetPath(), entry.Name())); err == nil && len(data) <= smallFile {
				one.Data = data
				left -= int64(len(data))
			}
		}
		out.Files = append(out.Files, one)
	}
	return out, nil
}

// Stat answers what a path is.
func (f *files) Stat(_ context.Context, request *pluginv1.FileRequest) (*pluginv1.File, error) {
	tree, err := f.find(request)
	if err != nil {
		return nil, err
	}
	info, err := fs.Stat(tree, request.GetPath())
	if err != nil {
		return nil, wire.ToStatus(err)
	}
	return &pluginv1.File{Name: info.Name(), Size: info.Size(), Mode: uint32(info.Mode())}, nil
}

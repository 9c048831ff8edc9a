// Package worktree shows the files of a folder as the hub would see them, were everything in it committed now: named and
// hashed as Git does, without what Git ignores, and with symbolic links that lead nowhere out of it. It stands in for package
// source where commands work without a hub.
package worktree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/periplus-fleet/periplus/hub/source"
	"github.com/periplus-fleet/periplus/hub/source/files"
)

// CommitName stands for the commit that there is not yet.
const CommitName = "working tree"

// maxLinks is how many symbolic links one path may go through.
const maxLinks = 16

// Tree is the files of a folder. It is safe for concurrent use. What was listed and hashed once is not looked at again.
type Tree struct {
	root    *os.Root
	tracked Tracked

	mu      sync.Mutex
	folders map[string]*folder
	hashes  map[string]string
}

// Tracked says which files Git knows already: those it does not ignore, whatever the patterns say. nil knows none.
type Tracked interface {
	// Has a file, or a folder with files in it.
	Has(name string) bool
}

// Config of a tree.
type Config struct {
	// Folder on disk.
	Folder string
	// Tracked files; nil where the folder is no Git repository, so that nothing is ignored.
	Tracked Tracked
	// Exclude holds lines as those of .gitignore, which the repository's owner keeps elsewhere.
	Exclude []string
}

// Open shows a folder.
func Open(cfg Config) (*Tree, error) {
	root, err := os.OpenRoot(cfg.Folder)
	if err != nil {
		return nil, fmt.Errorf("cannot read folder %q: %w", cfg.Folder, err)
	}
	t := &Tree{root: root, tracked: cfg.Tracked, folders: map[string]*folder{}, hashes: map[string]string{}}
	t.folders["."], err = t.list(".", parsePatterns(cfg.Exclude, nil))
	return t, err
}

// Close lets go of the folder.
func (t *Tree) Close() error { return t.root.Close() }

// Commit is CommitName.
func (t *Tree) Commit() string { return CommitName }

// entry of a folder, as Git has it.
type entry struct {
	name string
	mode fs.FileMode
}

// submodule tells whether an entry is another repository, which Git keeps by its commit.
func (e entry) submodule() bool { return e.mode&fs.ModeIrregular != 0 }

// resolve walks to a path, through links, and returns the path without links.
func (t *Tree) resolve(op, name string) (string, entry, error) {
	if !fs.ValidPath(name) {
		return "", entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	real, found, err := t.walk(name, 0)
	if err != nil {
		return "", entry{}, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return real, found, nil
}

func (t *Tree) walk(name string, links int) (string, entry, error) {
	here, found := ".", entry{name: ".", mode: fs.ModeDir}
	if name == "." {
		return here, found, nil
	}
	parts := strings.Split(name, "/")
	for i, part := range parts {
		if !found.mode.IsDir() {
			return "", entry{}, fs.ErrNotExist
		}
		listed, err := t.folder(here)
		if err != nil {
			return "", entry{}, err
		}
		var ok bool
		if found, ok = listed.find(part); !ok {
			return "", entry{}, fs.ErrNotExist
		}
		here = path.Join(here, part)
		switch {
		case found.submodule():
			return "", entry{}, fmt.Errorf("%q is a submodule, which is not supported; keep the files in this repository", here)
		case found.mode&fs.ModeSymlink != 0:
			target, err := t.follow(here, links)
			if err != nil {
				return "", entry{}, err
			}
			return t.walk(path.Join(target, path.Join(parts[i+1:]...)), links+1)
		}
	}
	return here, found, nil
}

// follow returns where a link leads, relative to the tree.
func (t *Tree) follow(name string, links int) (string, error) {
	if links >= maxLinks {
		return "", fmt.Errorf("%q goes through more than %d symbolic links", name, maxLinks)
	}
	target, err := t.root.Readlink(filepath.FromSlash(name))
	if err != nil {
		return "", err
	}
	target = filepath.ToSlash(target)
	joined := path.Join(path.Dir(name), target)
	if path.IsAbs(target) || !fs.ValidPath(joined) {
		return "", fmt.Errorf("symbolic link %q leads out of the repository", name)
	}
	return joined, nil
}

// ReadFile returns a file's content.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	real, found, err := t.resolve("read", name)
	if err != nil {
		return nil, err
	}
	if found.mode.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a folder")}
	}
	return t.read(name, real)
}

func (t *Tree) read(name, real string) ([]byte, error) {
	info, err := t.root.Stat(filepath.FromSlash(real))
	if err != nil {
		return nil, err
	}
	if info.Size() > source.MaxFileSize {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("the file has %d bytes, more than %d", info.Size(), source.MaxFileSize)}
	}
	file, err := t.root.Open(filepath.FromSlash(real))
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(file)
}

// ReadDir lists a folder by name.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	real, found, err := t.resolve("readdir", name)
	if err != nil {
		return nil, err
	}
	if !found.mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("is not a folder")}
	}
	t.mu.Lock()
	listed, err := t.folder(real)
	t.mu.Unlock()
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	if len(listed.entries) > source.MaxEntries {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fmt.Errorf("the folder has more than %d entries", source.MaxEntries)}
	}
	out := make([]fs.DirEntry, len(listed.entries))
	for i, one := range listed.entries {
		out[i] = dirEntry{tree: t, path: path.Join(name, one.name), entry: one}
	}
	return out, nil
}

// Stat describes what a path leads to.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	real, found, err := t.resolve("stat", name)
	if err != nil {
		return nil, err
	}
	info := files.Info{Base: path.Base(name), Bits: found.mode}
	if !found.mode.IsDir() {
		on, err := t.root.Stat(filepath.FromSlash(real))
		if err != nil {
			return nil, err
		}
		info.Length = on.Size()
	}
	return info, nil
}

// Open a file or folder.
func (t *Tree) Open(name string) (fs.File, error) {
	info, err := t.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		entries, err := t.ReadDir(name)
		return files.OpenDir(info, entries), err
	}
	data, err := t.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return files.Open(info, data), nil
}

// folder returns what a folder without links holds; the caller holds mu.
func (t *Tree) folder(real string) (*folder, error) {
	listed, err := t.listing(real)
	if err != nil || listed.checked {
		return listed, err
	}
	kept := make([]entry, 0, len(listed.entries))
	for _, one := range listed.entries {
		held := true
		if one.mode.IsDir() {
			if held, err = t.holds(path.Join(real, one.name)); err != nil {
				return nil, err
			}
		}
		if held {
			kept = append(kept, one)
		}
	}
	listed.entries, listed.checked = kept, true
	return listed, nil
}

// listing is a folder with its empty folders.
func (t *Tree) listing(real string) (*folder, error) {
	if listed, ok := t.folders[real]; ok {
		return listed, nil
	}
	above, err := t.listing(path.Dir(real))
	if err != nil {
		return nil, err
	}
	listed, err := t.list(real, above.patterns)
	if err != nil {
		return nil, err
	}
	t.folders[real] = listed
	return listed, nil
}

// folder as it was listed.
type folder struct {
	// entries by name; checked says that folders without any file are out.
	entries  []entry
	checked  bool
	patterns patterns
}

func (f *folder) find(name string) (entry, bool) {
	at, ok := slices.BinarySearchFunc(f.entries, name, func(e entry, name string) int { return strings.Compare(e.name, name) })
	if !ok {
		return entry{}, false
	}
	return f.entries[at], true
}

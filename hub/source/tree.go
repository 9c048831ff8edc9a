package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"github.com/periplus-fleet/periplus/hub/source/files"
)

// Limits of what is read out of a repository.
const (
	// MaxFileSize of one file, in bytes.
	MaxFileSize = 10 << 20
	// MaxEntries of one folder.
	MaxEntries = 10_000
	// maxLinks is how many symbolic links one path may go through.
	maxLinks = 16
	// maxTrees bounds the folders that are kept decoded.
	maxTrees = 4096
)

// Tree is the files of one commit. It implements fs.FS, fs.ReadFileFS, fs.ReadDirFS and fs.StatFS, and is safe for
// concurrent use. Symbolic links are followed inside the repository only; submodules and files above MaxFileSize are refused
// by name.
type Tree struct {
	commit string
	when   time.Time
	root   plumbing.Hash
	// suspect tells the owner that the repository is damaged; nil where somebody else owns it.
	suspect *atomic.Bool

	mu      sync.Mutex
	objects storer.EncodedObjectStorer
	trees   map[plumbing.Hash]*object.Tree
}

func newTree(objects storer.EncodedObjectStorer, commit *object.Commit, suspect *atomic.Bool) *Tree {
	return &Tree{commit: commit.Hash.String(), when: commit.Committer.When, root: commit.TreeHash, suspect: suspect,
		objects: objects, trees: map[plumbing.Hash]*object.Tree{}}
}

// Commit that the files belong to.
func (t *Tree) Commit() string { return t.commit }

// When the commit was made.
func (t *Tree) When() time.Time { return t.when }

// Hash names the content of a file or folder: equal hashes mean equal content, whatever the commit. It says nothing of what
// symbolic links in it point at.
func (t *Tree) Hash(name string) (string, error) {
	entry, err := t.resolve("hash", name)
	if err != nil {
		return "", err
	}
	return entry.Hash.String(), nil
}

// ReadFile returns a file's content.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	entry, err := t.resolve("read", name)
	if err != nil {
		return nil, err
	}
	if entry.Mode == filemode.Dir {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a folder")}
	}
	return t.blob("read", name, entry.Hash)
}

// ReadDir lists a folder by name.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	entry, err := t.resolve("readdir", name)
	if err != nil {
		return nil, err
	}
	if entry.Mode != filemode.Dir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("is not a folder")}
	}
	tree, err := t.tree(entry.Hash)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	if len(tree.Entries) > MaxEntries {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fmt.Errorf("the folder has more than %d entries", MaxEntries)}
	}
	entries := make([]fs.DirEntry, 0, len(tree.Entries))
	for _, found := range tree.Entries {
		entries = append(entries, dirEntry{tree: t, path: path.Join(name, found.Name), entry: found})
	}
	// Git sorts folders as if their names ended in a slash.
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// Stat describes what a path leads to.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	entry, err := t.resolve("stat", name)
	if err != nil {
		return nil, err
	}
	return t.info("stat", name, entry)
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

func (t *Tree) info(op, name string, entry object.TreeEntry) (fs.FileInfo, error) {
	info := files.Info{Base: path.Base(name), Bits: modeOf(entry.Mode), When: t.when}
	if entry.Mode == filemode.Submodule || entry.Mode == filemode.Dir {
		return info, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	size, err := t.objects.EncodedObjectSize(entry.Hash)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: t.broken(err)}
	}
	info.Length = size
	return info, nil
}

// resolve walks to a path, through links.
func (t *Tree) resolve(op, name string) (object.TreeEntry, error) {
	if !fs.ValidPath(name) {
		return object.TreeEntry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	entry, err := t.walk(name, 0)
	if err != nil {
		return entry, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return entry, nil
}

func (t *Tree) walk(name string, links int) (object.TreeEntry, error) {
	current := object.TreeEntry{Mode: filemode.Dir, Hash: t.root}
	if name == "." {
		return current, nil
	}
	parts := strings.Split(name, "/")
	for i, part := range parts {
		if current.Mode != filemode.Dir {
			return current, fs.ErrNotExist
		}
		tree, err := t.tree(current.Hash)
		if err != nil {
			return current, err
		}
		at := slices.IndexFunc(tree.Entries, func(e object.TreeEntry) bool { return e.Name == part })
		if at < 0 {
			return current, fs.ErrNotExist
		}
		current = tree.Entries[at]
		here := path.Join(parts[:i+1]...)
		switch current.Mode {
		case filemode.Submodule:
			return current, fmt.Errorf("%q is a submodule, which is not supported; keep the files in this repository", here)
		case filemode.Symlink:
			target, err := t.follow(here, current.Hash, links)
			if err != nil {
				return current, err
			}
			return t.walk(path.Join(target, path.Join(parts[i+1:]...)), links+1)
		}
	}
	return current, nil
}

// follow returns where a link leads, relative to the repository.
func (t *Tree) follow(name string, hash plumbing.Hash, links int) (string, error) {
	if links >= maxLinks {
		return "", fmt.Errorf("%q goes through more than %d symbolic links", name, maxLinks)
	}
	data, err := t.blob("readlink", name, hash)
	if err != nil {
		return "", err
	}
	target := string(data)
	joined := path.Join(path.Dir(name), target)
	if path.IsAbs(target) || !fs.ValidPath(joined) {
		return "", fmt.Errorf("symbolic link %q leads out of the repository", name)
	}
	return joined, nil
}

func (t *Tree) tree(hash plumbing.Hash) (*object.Tree, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tree, ok := t.trees[hash]; ok {
		return tree, nil
	}
	tree, err := object.GetTree(t.objects, hash)
	if err != nil {
		return nil, t.broken(err)
	}
	if len(t.trees) >= maxTrees {
		clear(t.trees)
	}
	t.trees[hash] = tree
	return tree, nil
}

func (t *Tree) blob(op, name string, hash plumbing.Hash) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	blob, err := object.GetBlob(t.objects, hash)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: t.broken(err)}
	}
	if blob.Size > MaxFileSize {
		return nil, &fs.PathError{Op: op, Path: name, Err: fmt.Errorf("the file has %d bytes, more than %d", blob.Size, MaxFileSize)}
	}
	reader, err := blob.Reader()
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: t.broken(err)}
	}
	defer func() { _ = reader.Close() }()
	data, err := io.ReadAll(reader)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: t.broken(err)}
	}
	return data, nil
}

// broken notes that an object which a tree names could not be read, which only a damaged repository explains. The cause is
// not wrapped: it must never pass for a file that is positively absent.
func (t *Tree) broken(err error) error {
	if t.suspect == nil {
		return fmt.Errorf("the repository on disk lacks an object that a commit names (is it a partial clone?): %v", err)
	}
	t.suspect.Store(true)
	return fmt.Errorf("the repository on disk is broken and will be cloned again: %v", err)
}

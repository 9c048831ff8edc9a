package worktree

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// Hash names the content of a file or folder as Git does.
func (t *Tree) Hash(name string) (string, error) {
	real, found, err := t.resolve("hash", name)
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hash(real, found)
}

func (t *Tree) hash(real string, found entry) (string, error) {
	if hash, ok := t.hashes[real]; ok {
		return hash, nil
	}
	hash, err := t.compute(real, found)
	if err != nil {
		return "", err
	}
	t.hashes[real] = hash
	return hash, nil
}

func (t *Tree) compute(real string, found entry) (string, error) {
	switch {
	case found.submodule():
		// Its commit is its own repository's to say, and nothing of it is read.
		return plumbing.ZeroHash.String(), nil
	case found.mode&fs.ModeSymlink != 0:
		target, err := t.root.Readlink(filepath.FromSlash(real))
		return plumbing.ComputeHash(plumbing.BlobObject, []byte(filepath.ToSlash(target))).String(), err
	case !found.mode.IsDir():
		// Larger files than the hub reads are hashed like others: they are refused when somebody reads them.
		data, err := t.root.ReadFile(filepath.FromSlash(real))
		return plumbing.ComputeHash(plumbing.BlobObject, data).String(), err
	}
	listed, err := t.folder(real)
	if err != nil {
		return "", err
	}
	entries := slices.Clone(listed.entries)
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(gitName(a), gitName(b)) })
	var object bytes.Buffer
	for _, one := range entries {
		hash, err := t.hash(path.Join(real, one.name), one)
		if err != nil {
			return "", err
		}
		raw, err := hex.DecodeString(hash)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&object, "%s %s\x00", gitMode(one.mode), one.name)
		object.Write(raw)
	}
	return plumbing.ComputeHash(plumbing.TreeObject, object.Bytes()).String(), nil
}

// gitName is what Git sorts by: folders as if their names ended in a slash.
func gitName(e entry) string {
	if e.mode.IsDir() {
		return e.name + "/"
	}
	return e.name
}

func gitMode(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeIrregular != 0:
		return "160000"
	case mode.IsDir():
		return "40000"
	case mode&fs.ModeSymlink != 0:
		return "120000"
	case mode&0o100 != 0:
		return "100755"
	default:
		return "100644"
	}
}

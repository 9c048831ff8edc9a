package source

import (
	"io/fs"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

func modeOf(mode filemode.FileMode) fs.FileMode {
	switch mode {
	case filemode.Dir:
		return fs.ModeDir | 0o555
	case filemode.Symlink:
		return fs.ModeSymlink | 0o444
	case filemode.Submodule:
		return fs.ModeIrregular
	case filemode.Executable:
		return 0o555
	default:
		return 0o444
	}
}

// dirEntry is an entry as it stands in its folder: links and submodules are shown as such.
type dirEntry struct {
	tree  *Tree
	path  string
	entry object.TreeEntry
}

func (e dirEntry) Name() string               { return e.entry.Name }
func (e dirEntry) IsDir() bool                { return e.entry.Mode == filemode.Dir }
func (e dirEntry) Type() fs.FileMode          { return modeOf(e.entry.Mode).Type() }
func (e dirEntry) Info() (fs.FileInfo, error) { return e.tree.info("stat", e.path, e.entry) }

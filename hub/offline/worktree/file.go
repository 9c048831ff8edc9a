package worktree

import (
	"io/fs"

	"github.com/periplus-fleet/periplus/hub/source/files"
)

// dirEntry is an entry as it stands in its folder: links and submodules are shown as such.
type dirEntry struct {
	tree  *Tree
	path  string
	entry entry
}

func (e dirEntry) Name() string      { return e.entry.name }
func (e dirEntry) IsDir() bool       { return e.entry.mode.IsDir() }
func (e dirEntry) Type() fs.FileMode { return e.entry.mode.Type() }

// Info is that of the entry itself, be it a link.
func (e dirEntry) Info() (fs.FileInfo, error) {
	if e.entry.mode&(fs.ModeSymlink|fs.ModeIrregular) != 0 {
		return files.Info{Base: e.entry.name, Bits: e.entry.mode}, nil
	}
	return e.tree.Stat(e.path)
}

package place

import (
	"errors"
	"io/fs"
	"path"
	"slices"

	"github.com/periplus-fleet/periplus/hub/fleet"
)

// State says what a working tree is, compared with the commit that it stands on.
type State struct {
	// Commit is HEAD's; "" where there is none yet, or no Git at all.
	Commit string
	// Changed are files of the fleet repo that differ from it, sorted: changed, new or gone.
	Changed []string
}

// State of the files that lie there now.
func (p *Place) State(now fleet.Tree) (State, error) {
	head := p.head()
	if head == nil {
		return State{}, nil
	}
	then, err := p.open(head.Hash)
	if err != nil {
		return State{}, err
	}
	state := State{Commit: then.Commit()}
	state.Changed, err = changes(then, now, p.Root)
	return state, err
}

// changes lists the files that differ, and looks only into folders that do.
func changes(then, now fleet.Tree, name string) ([]string, error) {
	before, err := hashOf(then, name)
	if err != nil {
		return nil, err
	}
	after, err := hashOf(now, name)
	if err != nil || before == after {
		return nil, err
	}
	old, err := children(then, name)
	if err != nil {
		return nil, err
	}
	current, err := children(now, name)
	if err != nil {
		return nil, err
	}
	if len(old)+len(current) == 0 {
		return []string{name}, nil
	}
	var out []string
	for _, child := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(old, current)))) {
		below, err := changes(then, now, path.Join(name, child))
		if err != nil {
			return nil, err
		}
		out = append(out, below...)
	}
	return out, nil
}

// hashOf is "" where there is nothing. A submodule or a link that leads nowhere has no content that could be compared.
func hashOf(tree fleet.Tree, name string) (string, error) {
	hash, err := tree.Hash(name)
	var at *fs.PathError
	if errors.As(err, &at) {
		return "", nil
	}
	return hash, err
}

// children of a folder, none of anything else.
func children(tree fleet.Tree, name string) ([]string, error) {
	info, err := tree.Stat(name)
	if err != nil || !info.IsDir() {
		return nil, nil //nolint:nilerr // what cannot be looked into is one change
	}
	entries, err := tree.ReadDir(name)
	var out []string
	for _, entry := range entries {
		out = append(out, entry.Name())
	}
	return out, err
}

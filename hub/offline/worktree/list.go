package worktree

import (
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

const (
	gitFolder  = ".git"
	ignoreFile = ".gitignore"
)

// patterns of what Git ignores, those of folders above first.
type patterns []gitignore.Pattern

// parsePatterns reads the lines of a .gitignore in the folder domain.
func parsePatterns(lines, domain []string) patterns {
	var out patterns
	for _, line := range lines {
		if line = strings.TrimSuffix(line, "\r"); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, gitignore.ParsePattern(line, domain))
		}
	}
	return out
}

// list reads a folder as Git would: without what it ignores, sockets and the like.
func (t *Tree) list(real string, above patterns) (*folder, error) {
	opened, err := t.root.Open(filepath.FromSlash(real))
	if err != nil {
		return nil, err
	}
	found, err := opened.ReadDir(-1)
	if closed := opened.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, err
	}
	out := &folder{patterns: above}
	if t.tracked != nil && slices.ContainsFunc(found, func(e fs.DirEntry) bool { return e.Name() == ignoreFile && e.Type().IsRegular() }) {
		text, err := t.read(ignoreFile, path.Join(real, ignoreFile))
		if err != nil {
			return nil, err
		}
		out.patterns = slices.Concat(above, parsePatterns(strings.Split(string(text), "\n"), domainOf(real)))
	}
	for _, one := range found {
		kept, err := t.keep(real, one, out.patterns)
		if err != nil {
			return nil, err
		}
		if kept.name != "" {
			out.entries = append(out.entries, kept)
		}
	}
	slices.SortFunc(out.entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

func domainOf(real string) []string {
	if real == "." {
		return nil
	}
	return strings.Split(real, "/")
}

// keep returns an entry, without a name where Git would not have it.
func (t *Tree) keep(folder string, found fs.DirEntry, ignored patterns) (entry, error) {
	name := found.Name()
	real := path.Join(folder, name)
	mode := found.Type()
	switch {
	case name == gitFolder || !mode.IsRegular() && !mode.IsDir() && mode&fs.ModeSymlink == 0:
		return entry{}, nil
	case t.tracked != nil && !t.tracked.Has(real) && gitignore.NewMatcher(ignored).Match(strings.Split(real, "/"), mode.IsDir()):
		return entry{}, nil
	case mode.IsRegular():
		info, err := found.Info()
		if err != nil {
			return entry{}, err
		}
		if info.Mode()&0o100 != 0 {
			mode |= 0o555
		} else {
			mode |= 0o444
		}
		return entry{name, mode}, nil
	case mode&fs.ModeSymlink != 0:
		return entry{name, mode | 0o444}, nil
	}
	if _, err := t.root.Lstat(filepath.FromSlash(path.Join(real, gitFolder))); err == nil {
		return entry{name, fs.ModeIrregular}, nil
	}
	return entry{name, fs.ModeDir | 0o555}, nil
}

// holds says whether there is a file in a folder; Git has no others. It looks no deeper than it must.
func (t *Tree) holds(real string) (bool, error) {
	listed, err := t.listing(real)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(listed.entries, func(e entry) bool { return !e.mode.IsDir() }) {
		return true, nil
	}
	for _, one := range listed.entries {
		if held, err := t.holds(path.Join(real, one.name)); held || err != nil {
			return held, err
		}
	}
	return false, nil
}

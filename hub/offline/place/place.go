// Package place finds the fleet repo that a folder of the disk belongs to, and the Git repository around it, and opens its
// files: those that lie there now, or those of a commit.
package place

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/offline/worktree"
	"github.com/periplus-fleet/periplus/hub/source"
)

// Place of a fleet repo on disk.
type Place struct {
	// Top is the Git repository's folder; without one, that of the fleet repo.
	Top string
	// Root of the fleet repo inside Top, as FleetRepo's spec.path: "." where it is Top itself.
	Root string
	// Named is the folder that was asked for, inside Top.
	Named string

	repository *git.Repository
}

// Find looks in a folder, then in those above it up to the Git repository's, for what makes a fleet repo.
func Find(folder string) (*Place, error) {
	full, err := real(folder)
	if err != nil {
		return nil, err
	}
	p := &Place{}
	stop := filepath.VolumeName(full) + string(filepath.Separator)
	p.repository, err = git.PlainOpenWithOptions(full, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	switch {
	case errors.Is(err, git.ErrRepositoryNotExists):
		p.repository = nil
	case err != nil:
		return nil, fmt.Errorf("cannot open the Git repository around %q: %w", folder, err)
	default:
		work, err := p.repository.Worktree()
		if err != nil {
			return nil, fmt.Errorf("cannot read %q: its Git repository has no working tree: %w", folder, err)
		}
		if stop, err = real(work.Filesystem.Root()); err != nil {
			return nil, err
		}
	}
	root, ok := rootOf(full, stop)
	if !ok {
		return nil, fmt.Errorf("%q is no fleet repo: neither it nor a folder above it, up to %s, holds %s, clusters/ or bundles/\n"+
			"name the folder of a fleet repo or of a bundle in it; 'periplus init FOLDER' makes a new one", folder, stop, fleet.LayoutFile)
	}
	p.Top = root
	if p.repository != nil {
		p.Top = stop
	}
	if p.Root, err = inside(p.Top, root); err != nil {
		return nil, err
	}
	p.Named, err = inside(p.Top, full)
	return p, err
}

// real is an absolute path without links, so that paths can be compared.
func real(folder string) (string, error) {
	full, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(full)
	if err != nil {
		return "", fmt.Errorf("cannot read folder %q: %w", folder, errors.Unwrap(err))
	}
	if !info.IsDir() {
		full = filepath.Dir(full)
	}
	return filepath.EvalSymlinks(full)
}

func inside(top, folder string) (string, error) {
	relative, err := filepath.Rel(top, folder)
	return filepath.ToSlash(relative), err
}

// rootOf is the nearest folder, from full up to stop, that looks like a fleet repo.
func rootOf(full, stop string) (string, bool) {
	for folder := full; ; folder = filepath.Dir(folder) {
		// A bundle may hold folders of these names for its own content.
		if !has(folder, "bundle.yaml", false) && (has(folder, fleet.LayoutFile, false) || has(folder, "clusters", true) || has(folder, "bundles", true)) {
			return folder, true
		}
		if folder == stop || folder == filepath.Dir(folder) {
			return "", false
		}
	}
}

func has(folder, name string, isFolder bool) bool {
	info, err := os.Stat(filepath.Join(folder, name))
	return err == nil && info.IsDir() == isFolder
}

// InGit says whether there is a Git repository around it.
func (p *Place) InGit() bool { return p.repository != nil }

// errNoGit is what asks for commits where there are none.
var errNoGit = errors.New("it is in no Git repository")

// Files that lie there now: with changes that are not committed, without what Git ignores.
func (p *Place) Files() (*worktree.Tree, error) {
	cfg := worktree.Config{Folder: p.Top}
	if p.repository != nil {
		index, err := p.repository.Storer.Index()
		if err != nil {
			return nil, fmt.Errorf("cannot read the index of the Git repository %q: %w", p.Top, err)
		}
		known := tracked{}
		for _, entry := range index.Entries {
			known.add(entry.Name)
		}
		cfg.Tracked = known
		cfg.Exclude = p.excludes()
	}
	return worktree.Open(cfg)
}

// excludes are the patterns of this clone alone.
func (p *Place) excludes() []string {
	data, err := os.ReadFile(filepath.Join(p.Top, ".git", "info", "exclude"))
	if err != nil {
		return nil
	}
	return strings.Split(string(data), "\n")
}

// tracked holds files and the folders that they are in.
type tracked map[string]bool

func (k tracked) Has(name string) bool { return k[name] }

func (k tracked) add(name string) {
	for !k[name] {
		k[name] = true
		cut := strings.LastIndexByte(name, '/')
		if cut < 0 {
			return
		}
		name = name[:cut]
	}
}

// Commit opens the files of a revision as Git names them: a branch, a tag, a commit, HEAD~2.
func (p *Place) Commit(revision string) (*source.Tree, error) {
	if p.repository == nil {
		return nil, fmt.Errorf("cannot open commit %q of %q: %w", revision, p.Top, errNoGit)
	}
	hash, err := p.repository.ResolveRevision(plumbing.Revision(revision))
	if err != nil {
		return nil, fmt.Errorf("cannot find commit %q in the Git repository %q: %w (a shallow clone has few commits: git fetch --unshallow)", revision, p.Top, err)
	}
	return p.open(*hash)
}

func (p *Place) open(hash plumbing.Hash) (*source.Tree, error) {
	tree, err := source.TreeOf(p.repository, hash)
	if err != nil {
		return nil, fmt.Errorf("%w; git fetch --unshallow may bring it", err)
	}
	return tree, nil
}

// Ref opens the content that a target takes from elsewhere in the repository. The hub asks the remote; here it is what the
// last fetch brought, else the clone's own branch.
func (p *Place) Ref(ref v1alpha1.GitRef) (fleet.Tree, error) {
	if p.repository == nil {
		return nil, errNoGit
	}
	if ref.Commit != "" {
		return p.open(plumbing.NewHash(ref.Commit))
	}
	names := []plumbing.ReferenceName{plumbing.NewRemoteReferenceName("origin", ref.Branch), plumbing.NewBranchReferenceName(ref.Branch)}
	what := "branch " + ref.Branch
	if ref.Tag != "" {
		names, what = []plumbing.ReferenceName{plumbing.NewTagReferenceName(ref.Tag)}, "tag "+ref.Tag
	}
	for _, name := range names {
		found, err := p.repository.Reference(name, true)
		if err != nil {
			continue
		}
		hash := found.Hash()
		if annotated, err := p.repository.TagObject(hash); err == nil {
			commit, err := annotated.Commit()
			if err != nil {
				return nil, fmt.Errorf("%s names no commit: %w", what, err)
			}
			hash = commit.Hash
		}
		return p.open(hash)
	}
	return nil, fmt.Errorf("this clone has no %s; git fetch --tags origin may bring it", what)
}

// Head is the commit that the working tree stands on; nil before the first one.
func (p *Place) head() *object.Commit {
	if p.repository == nil {
		return nil
	}
	head, err := p.repository.Head()
	if err != nil {
		return nil
	}
	commit, err := p.repository.CommitObject(head.Hash())
	if err != nil {
		return nil
	}
	return commit
}

// Package source fetches fleet repos: one bare repository per FleetRepo, kept on disk between fetches, read by path without a
// checkout. It is the first step of a commit's way; package fleet reads what it gives. It knows nothing of what the files
// mean, keeps no schedule, and leaves back-off to its caller, which it tells by typed errors what went wrong.
package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// What a caller branches on. Everything else is a passing fault.
var (
	// ErrAuth: the remote refused the credentials.
	ErrAuth = errors.New("the remote refused the credentials; check the Secret that spec.secretRef names")
	// ErrNotFound: there is no such repository or ref.
	ErrNotFound = errors.New("not found at the remote")
	// ErrUnreachable: the remote did not answer as a Git server.
	ErrUnreachable = errors.New("the remote cannot be reached")
)

// Config of the repositories.
type Config struct {
	// Dir holds one folder per repository. Whatever is in there can be fetched again.
	Dir string
	Log *slog.Logger
}

// Spec says what to fetch and how.
type Spec struct {
	URL  string
	Ref  v1alpha1.GitRef
	Auth *Auth
	// CA is PEM of further authorities for https.
	CA []byte
}

// Repos are all repositories of this process.
type Repos struct {
	cfg   Config
	mu    sync.Mutex
	repos map[string]*repo
}

// repo is one bare repository; mu is held while it is written.
type repo struct {
	mu  sync.Mutex
	dir string
	// suspect is set when an object that must be there could not be read: the next fetch clones again.
	suspect atomic.Bool
}

// New makes the repositories' folder where it is missing.
func New(cfg Config) (*Repos, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the folder of repositories %q: %w", cfg.Dir, err)
	}
	return &Repos{cfg: cfg, repos: map[string]*repo{}}, nil
}

func (r *Repos) repo(key string) *repo {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.repos[key] == nil {
		sum := sha256.Sum256([]byte(key))
		r.repos[key] = &repo{dir: filepath.Join(r.cfg.Dir, hex.EncodeToString(sum[:12])+".git")}
	}
	return r.repos[key]
}

// Fetch brings spec.Ref of the repository named key (namespace/name of its FleetRepo) up to date and returns its commit.
// The remote's refs are listed first, and nothing more is asked where they did not move. changed says whether the ref
// moved since the last fetch that is on disk. A repository that is broken on disk is cloned again.
func (r *Repos) Fetch(ctx context.Context, key string, spec Spec) (commit string, changed bool, err error) {
	repo := r.repo(key)
	repo.mu.Lock()
	defer repo.mu.Unlock()
	if repo.suspect.Load() {
		if err := r.discard(key, repo, errors.New("an object could not be read")); err != nil {
			return "", false, err
		}
	}
	commit, changed, err = repo.fetch(ctx, spec)
	var broken *brokenError
	if errors.As(err, &broken) {
		if err := r.discard(key, repo, broken); err != nil {
			return "", false, err
		}
		commit, changed, err = repo.fetch(ctx, spec)
	}
	if err != nil {
		return "", false, fmt.Errorf("cannot fetch %s of %q: %w", describeRef(spec.Ref), redact(spec.URL), err)
	}
	return commit, changed, nil
}

// ResolveRef fetches another ref of the same repository, for a target that takes its content from there. spec.Ref is ignored.
func (r *Repos) ResolveRef(ctx context.Context, key string, spec Spec, ref v1alpha1.GitRef) (commit string, err error) {
	spec.Ref = ref
	commit, _, err = r.Fetch(ctx, key, spec)
	return commit, err
}

// LastFetched is the commit that the last successful fetch of the ref left on disk: what a process that starts while the
// remote is away goes on with.
func (r *Repos) LastFetched(key string, ref v1alpha1.GitRef) (commit string, ok bool) {
	repo := r.repo(key)
	repo.mu.Lock()
	defer repo.mu.Unlock()
	git, err := repo.open()
	if err != nil {
		return "", false
	}
	have, err := git.Reference(trackingRef(ref), true)
	if err != nil || checkCommit(git, have.Hash()) != nil {
		return "", false
	}
	return have.Hash().String(), true
}

// Descends says whether the commit new has old among its ancestors, or is it. An old commit that is no longer there is no
// ancestor.
func (r *Repos) Descends(key, old, new string) (bool, error) {
	if old == new {
		return true, nil
	}
	repo := r.repo(key)
	repo.mu.Lock()
	defer repo.mu.Unlock()
	git, err := repo.open()
	if err != nil {
		return false, fmt.Errorf("cannot open the repository of %q: %w", key, err)
	}
	to, err := git.CommitObject(plumbing.NewHash(new))
	if err != nil {
		return false, fmt.Errorf("cannot read commit %s: %w", new, err)
	}
	from, err := git.CommitObject(plumbing.NewHash(old))
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot read commit %s: %w", old, err)
	}
	descends, err := from.IsAncestor(to)
	if err != nil {
		return false, fmt.Errorf("cannot compare commits %s and %s: %w", old, new, err)
	}
	return descends, nil
}

// Open gives the files of a commit that was fetched before. The tree may be read by many at once, also during fetches.
func (r *Repos) Open(key, commit string) (*Tree, error) {
	repo := r.repo(key)
	repo.mu.Lock()
	defer repo.mu.Unlock()
	git, err := repo.open()
	if err != nil {
		return nil, fmt.Errorf("cannot open the repository of %q: %w", key, err)
	}
	object, err := git.CommitObject(plumbing.NewHash(commit))
	if err != nil {
		return nil, fmt.Errorf("cannot read commit %s of %q: %w", commit, key, err)
	}
	return newTree(git.Storer, object, &repo.suspect), nil
}

// Remove forgets a repository and deletes it from disk.
func (r *Repos) Remove(key string) error {
	repo := r.repo(key)
	repo.mu.Lock()
	defer repo.mu.Unlock()
	return os.RemoveAll(repo.dir)
}

func (r *Repos) discard(key string, repo *repo, why error) error {
	if r.cfg.Log != nil {
		r.cfg.Log.Warn("repository on disk is broken, cloning again", "repo", key, "error", why)
	}
	if err := os.RemoveAll(repo.dir); err != nil {
		return fmt.Errorf("cannot remove the broken repository of %q: %w", key, err)
	}
	repo.suspect.Store(false)
	return nil
}

// objectCache bounds what one open repository keeps of decoded objects.
const objectCache = 8 * cache.MiByte

func (r *repo) open() (*git.Repository, error) {
	return git.Open(filesystem.NewStorage(osfs.New(r.dir), cache.NewObjectLRU(objectCache)), nil)
}

// openOrInit makes the bare repository where there is none. Half a repository (a crash while it was made) counts as broken.
func (r *repo) openOrInit() (*git.Repository, error) {
	opened, err := r.open()
	if err == nil {
		return opened, nil
	}
	if entries, readErr := os.ReadDir(r.dir); readErr == nil && len(entries) > 0 {
		return nil, &brokenError{err}
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, err
	}
	return git.Init(filesystem.NewStorage(osfs.New(r.dir), cache.NewObjectLRU(objectCache)), nil)
}

// brokenError says that what is on disk cannot be used.
type brokenError struct{ cause error }

func (e *brokenError) Error() string { return "the repository on disk is broken: " + e.cause.Error() }
func (e *brokenError) Unwrap() error { return e.cause }

// checkCommit makes sure that a commit and its root tree can be read.
func checkCommit(repository *git.Repository, hash plumbing.Hash) error {
	commit, err := repository.CommitObject(hash)
	if err != nil {
		return err
	}
	_, err = commit.Tree()
	return err
}

func remoteOf(repository *git.Repository, url string) *git.Remote {
	return git.NewRemote(repository.Storer, &config.RemoteConfig{Name: "origin", URLs: []string{url}})
}

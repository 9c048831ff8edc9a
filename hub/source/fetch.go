package source

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// DefaultBranch is what a ref without branch, tag and commit means.
const DefaultBranch = "main"

// Refs of ours are kept apart from the remote's names, so that a tag and a branch of one name never meet.
const trackingPrefix = "refs/periplus/"

func trackingRef(ref v1alpha1.GitRef) plumbing.ReferenceName {
	switch {
	case ref.Commit != "":
		return plumbing.ReferenceName(trackingPrefix + "commits/" + ref.Commit)
	case ref.Tag != "":
		return plumbing.ReferenceName(trackingPrefix + "tags/" + ref.Tag)
	case ref.Branch != "":
		return plumbing.ReferenceName(trackingPrefix + "heads/" + ref.Branch)
	default:
		return plumbing.ReferenceName(trackingPrefix + "heads/" + DefaultBranch)
	}
}

func remoteRef(ref v1alpha1.GitRef) plumbing.ReferenceName {
	if ref.Tag != "" {
		return plumbing.NewTagReferenceName(ref.Tag)
	}
	if ref.Branch != "" {
		return plumbing.NewBranchReferenceName(ref.Branch)
	}
	return plumbing.NewBranchReferenceName(DefaultBranch)
}

func describeRef(ref v1alpha1.GitRef) string {
	switch {
	case ref.Commit != "":
		return "commit " + ref.Commit
	case ref.Tag != "":
		return "tag " + ref.Tag
	case ref.Branch != "":
		return "branch " + ref.Branch
	default:
		return "branch " + DefaultBranch
	}
}

func (r *repo) fetch(ctx context.Context, spec Spec) (string, bool, error) {
	repository, err := r.openOrInit()
	if err != nil {
		return "", false, err
	}
	before := plumbing.ZeroHash
	if ref, err := repository.Reference(trackingRef(spec.Ref), true); err == nil {
		before = ref.Hash()
	}
	if spec.Ref.Commit != "" && checkCommit(repository, plumbing.NewHash(spec.Ref.Commit)) == nil {
		return r.track(repository, spec.Ref, plumbing.NewHash(spec.Ref.Commit), before)
	}
	auth, err := spec.Auth.method(spec.URL, r.dir)
	if err != nil {
		return "", false, err
	}
	remote := remoteOf(repository, spec.URL)
	refs, err := remote.ListContext(ctx, &git.ListOptions{Auth: auth, CABundle: spec.CA, PeelingOption: git.AppendPeeled})
	if err != nil {
		return "", false, classify(err)
	}
	head, peeled, found := find(refs, spec.Ref)
	if !found && spec.Ref.Commit == "" {
		return "", false, fmt.Errorf("%s: %w", describeRef(spec.Ref), ErrNotFound)
	}
	if spec.Ref.Commit == "" && before == peeled {
		if err := checkCommit(repository, peeled); err != nil {
			return "", false, &brokenError{err}
		}
		return peeled.String(), false, nil
	}
	options := &git.FetchOptions{Auth: auth, CABundle: spec.CA, Tags: git.NoTags, Force: true}
	if spec.Ref.Commit != "" {
		return r.fetchCommit(ctx, repository, remote, options, spec.Ref, before)
	}
	incoming := plumbing.ReferenceName(trackingPrefix + "incoming")
	options.RefSpecs = []config.RefSpec{config.RefSpec(fmt.Sprintf("+%s:%s", remoteRef(spec.Ref), incoming))}
	if err := remote.FetchContext(ctx, options); err != nil && !errors.Is(err, git.NoErrAlreadyUpToDate) {
		return "", false, classifyFetch(ctx, err)
	}
	// The ref may have moved between the two calls: what came is what counts.
	if came, err := repository.Reference(incoming, true); err == nil && came.Hash() != head {
		peeled = came.Hash()
		if tag, err := repository.TagObject(peeled); err == nil {
			peeled = tag.Target
		}
	}
	if err := checkCommit(repository, peeled); err != nil {
		return "", false, &brokenError{err}
	}
	return r.track(repository, spec.Ref, peeled, before)
}

// fetchCommit asks for one commit; servers that refuse that are asked for all branches and tags.
func (r *repo) fetchCommit(ctx context.Context, repository *git.Repository, remote *git.Remote, options *git.FetchOptions,
	ref v1alpha1.GitRef, before plumbing.Hash,
) (string, bool, error) {
	hash := plumbing.NewHash(ref.Commit)
	exact := config.RefSpec(fmt.Sprintf("%s:%scommits/%s", ref.Commit, trackingPrefix, ref.Commit))
	all := []config.RefSpec{"+refs/heads/*:" + trackingPrefix + "all/heads/*", "+refs/tags/*:" + trackingPrefix + "all/tags/*"}
	var err error
	for _, specs := range [][]config.RefSpec{{exact}, all} {
		attempt := *options
		attempt.RefSpecs = specs
		err = remote.FetchContext(ctx, &attempt)
		if ctx.Err() != nil {
			return "", false, ctx.Err()
		}
		if checkCommit(repository, hash) == nil {
			return r.track(repository, ref, hash, before)
		}
	}
	if err != nil && !errors.Is(err, git.NoErrAlreadyUpToDate) {
		return "", false, classifyFetch(ctx, err)
	}
	return "", false, fmt.Errorf("commit %s: %w", ref.Commit, ErrNotFound)
}

func (r *repo) track(repository *git.Repository, ref v1alpha1.GitRef, hash, before plumbing.Hash) (string, bool, error) {
	if hash == before {
		return hash.String(), false, nil
	}
	if err := repository.Storer.SetReference(plumbing.NewHashReference(trackingRef(ref), hash)); err != nil {
		return "", false, err
	}
	return hash.String(), true, nil
}

// find returns the listed ref's hash, and the commit that an annotated tag points at.
func find(refs []*plumbing.Reference, ref v1alpha1.GitRef) (head, peeled plumbing.Hash, found bool) {
	name := remoteRef(ref)
	at := func(name plumbing.ReferenceName) (plumbing.Hash, bool) {
		i := slices.IndexFunc(refs, func(r *plumbing.Reference) bool { return r.Name() == name })
		if i < 0 {
			return plumbing.ZeroHash, false
		}
		return refs[i].Hash(), true
	}
	head, found = at(name)
	peeled = head
	if target, ok := at(name + "^{}"); ok {
		peeled = target
	}
	return head, peeled, found
}

// classify turns a transport's error into one that callers branch on.
func classify(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed),
		errors.Is(err, transport.ErrInvalidAuthMethod):
		return fmt.Errorf("%w: %w", ErrAuth, err)
	case errors.Is(err, transport.ErrRepositoryNotFound), errors.Is(err, transport.ErrEmptyRemoteRepository):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case isSSHAuth(err):
		return fmt.Errorf("%w: %w", ErrAuth, err)
	default:
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
}

// classifyFetch tells a fault of the remote from a broken repository of ours: objects that the negotiation relied on and
// that are not here.
func classifyFetch(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return &brokenError{err}
	}
	return classify(err)
}

// redact drops credentials from a URL that goes into messages.
func redact(raw string) string {
	parsed, err := url.Parse(raw)
	if err != nil || parsed.User == nil {
		return raw
	}
	parsed.User = url.User(parsed.User.Username())
	return parsed.String()
}

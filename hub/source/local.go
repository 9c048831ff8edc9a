package source

import (
	"fmt"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
)

// TreeOf gives the files of a commit in a repository that somebody else keeps, such as the clone that a person works in.
func TreeOf(repository *git.Repository, commit plumbing.Hash) (*Tree, error) {
	object, err := repository.CommitObject(commit)
	if err != nil {
		return nil, fmt.Errorf("cannot read commit %s: %w", commit, err)
	}
	return newTree(repository.Storer, object, nil), nil
}

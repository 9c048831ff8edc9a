// Package offlinetest makes fleet repos on disk for tests of what works without a hub.
package offlinetest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// The first lines of declarations.
const (
	Cluster = "apiVersion: fleet.periplus.dev/v1alpha1\nkind: FleetCluster\n"
	Bundle  = "apiVersion: fleet.periplus.dev/v1alpha1\nkind: Bundle\n"
)

// Write writes files below a folder, by slash-separated names.
func Write(t testing.TB, folder string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		full := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Commit commits all that lies in a folder, which becomes a Git repository where it is none, and returns the commit.
func Commit(t testing.TB, folder string) string {
	t.Helper()
	repository, err := git.PlainOpen(folder)
	if errors.Is(err, git.ErrRepositoryNotExists) {
		repository, err = git.PlainInit(folder, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	work, err := repository.Worktree()
	if err != nil {
		t.Fatal(err)
	}
	if err := work.AddWithOptions(&git.AddOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	hash, err := work.Commit("all", &git.CommitOptions{Author: &object.Signature{Name: "a", Email: "a@example.com", When: time.Unix(1, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	return hash.String()
}

package worktree_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/hub/offline/worktree"
	"github.com/periplus-fleet/periplus/hub/source"
)

func write(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		full := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, isLink := strings.CutPrefix(text, "-> "); isLink {
			err = os.Symlink(target, full)
		} else {
			err = os.WriteFile(full, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// known are tracked files.
type known []string

func (k known) Has(name string) bool {
	for _, one := range k {
		if one == name || strings.HasPrefix(one, name+"/") {
			return true
		}
	}
	return false
}

func TestTreeEqualsCommit(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, map[string]string{
		"a.yaml": "a: 1\n", "a/b.yaml": "b: 1\n", "a/deep/er/c.yaml": "c: 1\n", "a.b/d": "d", "link": "-> a/b.yaml", "folder": "-> a/deep",
		".gitignore": "*.log\n/built/\n!keep.log\n", "x.log": "no", "a/keep.log": "yes", "built/y": "no", "a/.gitignore": "secret*\n", "a/secret.txt": "no",
	})
	if err := os.Chmod(filepath.Join(folder, "a.b/d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(folder, "empty/er"), 0o755); err != nil {
		t.Fatal(err)
	}
	repository, err := git.PlainInit(folder, false)
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
	committed, err := source.TreeOf(repository, hash)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := worktree.Open(worktree.Config{Folder: folder, Tracked: known{".gitignore"}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	err = fs.WalkDir(committed, ".", func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var here []string
	err = fs.WalkDir(tree, ".", func(name string, _ fs.DirEntry, err error) error {
		here = append(here, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(names, here); diff != "" {
		t.Errorf("other files than in the commit (-commit +tree):\n%s", diff)
	}
	for _, name := range names {
		want, err := committed.Hash(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tree.Hash(name); err != nil || got != want {
			t.Errorf("Hash(%q) = %s, %v; Git says %s", name, got, err, want)
		}
	}
	if err := fstest.TestFS(tree, "a.yaml", "a/b.yaml", "a/deep/er/c.yaml"); err != nil {
		t.Error(err)
	}
}

func TestTreeRefuses(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, map[string]string{
		"in/out": "-> ../../etc", "in/absolute": "-> /etc/passwd", "in/loop": "-> loop", "in/gone": "-> nowhere", "in/a": "x",
		"other/.git/HEAD": "ref: refs/heads/main\n", "other/a": "x", ".gitignore": "ignored\n", "ignored": "x", "in/ignored-link": "-> ../ignored",
	})
	tree, err := worktree.Open(worktree.Config{Folder: folder, Tracked: known{}})
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct{ reason, name, want string }{
		"Out":       {"A link must not lead out of the repository.", "in/out/passwd", `symbolic link "in/out" leads out of the repository`},
		"Absolute":  {"Nor may one that names a place of this machine.", "in/absolute", `symbolic link "in/absolute" leads out of the repository`},
		"Loop":      {"A loop ends.", "in/loop", "more than 16 symbolic links"},
		"Dangling":  {"A link to nothing is no file.", "in/gone", "file does not exist"},
		"Submodule": {"Another repository is named as such.", "other/a", `"other" is a submodule`},
		"Ignored":   {"What Git ignores is not there, on no way.", "in/ignored-link", "file does not exist"},
		"Git":       {"Git's own folder is not there.", "other/.git/HEAD", "submodule"},
		"Invalid":   {"Paths are those of io/fs.", "../x", "invalid argument"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := tree.ReadFile(tc.name); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s\nReadFile(%q) = %v, want %q", tc.reason, tc.name, err, tc.want)
			}
		})
	}
}

func TestTreeKeepsTracked(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, map[string]string{".gitignore": "built/\n", "built/in/known": "x", "built/in/new": "x", "built/other/new": "x"})
	tree, err := worktree.Open(worktree.Config{Folder: folder, Tracked: known{"built/in/known"}, Exclude: []string{".gitignore"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = fs.WalkDir(tree, ".", func(name string, _ fs.DirEntry, err error) error {
		got = append(got, name)
		return err
	})
	if diff := cmp.Diff([]string{".", "built", "built/in", "built/in/known"}, got); diff != "" || err != nil {
		t.Errorf("of an ignored folder, Git has what it tracks (-want +got):\n%s %v", diff, err)
	}
}

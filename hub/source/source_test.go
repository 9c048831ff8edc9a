package source_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/source"
)

// origin is a repository that somebody pushes to.
type origin struct {
	t    *testing.T
	dir  string
	repo *git.Repository
	tick int
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	dir := t.TempDir()
	repo, err := git.PlainInitWithOptions(dir, &git.PlainInitOptions{InitOptions: git.InitOptions{DefaultBranch: "refs/heads/main"}})
	if err != nil {
		t.Fatal(err)
	}
	return &origin{t: t, dir: dir, repo: repo}
}

func (o *origin) url() string { return "file://" + o.dir }

func (o *origin) commit(files map[string]string) string {
	o.t.Helper()
	worktree, err := o.repo.Worktree()
	if err != nil {
		o.t.Fatal(err)
	}
	for name, text := range files {
		full := filepath.Join(o.dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			o.t.Fatal(err)
		}
		_ = os.Remove(full)
		if target, link := strings.CutPrefix(text, "->"); link {
			err = os.Symlink(target, full)
		} else {
			err = os.WriteFile(full, []byte(text), 0o644)
		}
		if err != nil {
			o.t.Fatal(err)
		}
		if _, err := worktree.Add(name); err != nil {
			o.t.Fatal(err)
		}
	}
	o.tick++
	hash, err := worktree.Commit(fmt.Sprint("commit ", o.tick), &git.CommitOptions{AllowEmptyCommits: true,
		Author: &object.Signature{Name: "a", Email: "a@example.com", When: time.Unix(int64(o.tick), 0)}})
	if err != nil {
		o.t.Fatal(err)
	}
	return hash.String()
}

func newRepos(t *testing.T) (*source.Repos, string) {
	t.Helper()
	dir := t.TempDir()
	repos, err := source.New(source.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return repos, dir
}

func TestFetch(t *testing.T) {
	o := newOrigin(t)
	repos, _ := newRepos(t)
	spec := source.Spec{URL: o.url()}
	fetch := func(wantCommit string, wantChanged bool) {
		t.Helper()
		commit, changed, err := repos.Fetch(t.Context(), "fleet/fleet", spec)
		if err != nil || commit != wantCommit || changed != wantChanged {
			t.Fatalf("want %s, %t; got %s, %t, %v", wantCommit, wantChanged, commit, changed, err)
		}
	}
	first := o.commit(map[string]string{"a": "1"})
	fetch(first, true)
	fetch(first, false)
	second := o.commit(map[string]string{"a": "2"})
	fetch(second, true)

	if _, err := o.repo.CreateTag("v1", plumbing.NewHash(first), &git.CreateTagOptions{Message: "one",
		Tagger: &object.Signature{Name: "a", Email: "a@example.com"}}); err != nil {
		t.Fatal(err)
	}
	spec.Ref = v1alpha1.GitRef{Tag: "v1"}
	fetch(first, true)
	fetch(first, false)
	spec.Ref = v1alpha1.GitRef{Commit: first}
	fetch(first, true)
	if commit, err := repos.ResolveRef(t.Context(), "fleet/fleet", spec, v1alpha1.GitRef{Branch: "main"}); err != nil || commit != second {
		t.Fatalf("want %s, got %s, %v", second, commit, err)
	}
	if commit, ok := repos.LastFetched("fleet/fleet", v1alpha1.GitRef{}); !ok || commit != second {
		t.Fatalf("want %s, got %s", second, commit)
	}
	tree, err := repos.Open("fleet/fleet", first)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := tree.ReadFile("a"); err != nil || string(data) != "1" {
		t.Errorf("an earlier commit stays readable: %q, %v", data, err)
	}
}

func TestFetchCommitOfAnotherBranch(t *testing.T) {
	o := newOrigin(t)
	o.commit(map[string]string{"a": "1"})
	second := o.commit(map[string]string{"a": "2"})
	third := o.commit(map[string]string{"a": "3"})
	if err := o.repo.Storer.SetReference(plumbing.NewHashReference("refs/heads/side", plumbing.NewHash(third))); err != nil {
		t.Fatal(err)
	}
	repos, _ := newRepos(t)
	commit, _, err := repos.Fetch(t.Context(), "k", source.Spec{URL: o.url(), Ref: v1alpha1.GitRef{Commit: second}})
	if err != nil || commit != second {
		t.Fatalf("want %s, got %s, %v", second, commit, err)
	}
}

func TestDescends(t *testing.T) {
	o := newOrigin(t)
	repos, _ := newRepos(t)
	first := o.commit(map[string]string{"a": "1"})
	second := o.commit(map[string]string{"a": "2"})
	fetch := func() {
		if _, _, err := repos.Fetch(t.Context(), "k", source.Spec{URL: o.url()}); err != nil {
			t.Fatal(err)
		}
	}
	fetch()
	worktree, err := o.repo.Worktree()
	if err != nil {
		t.Fatal(err)
	}
	if err := worktree.Reset(&git.ResetOptions{Mode: git.HardReset, Commit: plumbing.NewHash(first)}); err != nil {
		t.Fatal(err)
	}
	forced := o.commit(map[string]string{"a": "3"})
	fetch()
	for name, tc := range map[string]struct {
		old, new string
		want     bool
	}{
		"Same": {first, first, true}, "Forward": {first, second, true}, "ForwardToForced": {first, forced, true},
		"Forced": {second, forced, false}, "Back": {second, first, false}, "Unknown": {strings.Repeat("0", 40), forced, false},
	} {
		if got, err := repos.Descends("k", tc.old, tc.new); err != nil || got != tc.want {
			t.Errorf("%s: want %t, got %t, %v", name, tc.want, got, err)
		}
	}
}

func TestFetchErrors(t *testing.T) {
	o := newOrigin(t)
	o.commit(map[string]string{"a": "1"})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	_ = listener.Close()
	cases := map[string]struct {
		spec source.Spec
		want error
	}{
		"NoBranch":    {source.Spec{URL: o.url(), Ref: v1alpha1.GitRef{Branch: "none"}}, source.ErrNotFound},
		"NoCommit":    {source.Spec{URL: o.url(), Ref: v1alpha1.GitRef{Commit: strings.Repeat("1", 40)}}, source.ErrNotFound},
		"NoRepo":      {source.Spec{URL: "file://" + t.TempDir() + "/none"}, source.ErrNotFound},
		"Closed":      {source.Spec{URL: "http://" + closed + "/x.git"}, source.ErrUnreachable},
		"SSHNoKey":    {source.Spec{URL: "git@" + closed + ":x.git"}, source.ErrAuth},
		"OtherScheme": {source.Spec{URL: "gopher://x/y"}, source.ErrNotFound},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			repos, _ := newRepos(t)
			if _, _, err := repos.Fetch(t.Context(), "k", tc.spec); !errors.Is(err, tc.want) {
				t.Errorf("want %v, got %v", tc.want, err)
			}
		})
	}
}

func TestFetchRepairsBrokenRepository(t *testing.T) {
	o := newOrigin(t)
	first := o.commit(map[string]string{"a": "1", "b/c": "2"})
	cases := map[string]struct {
		reason string
		breaks func(t *testing.T, dir string)
	}{
		"NoHead": {reason: "Half a repository is made anew.", breaks: func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "HEAD")); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Join(dir, "config")); err != nil {
				t.Fatal(err)
			}
		}},
		"NoObjects": {reason: "A ref whose commit is gone is fetched again.", breaks: func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "objects")); err != nil {
				t.Fatal(err)
			}
		}},
		"Truncated": {reason: "A cut pack is fetched again.", breaks: func(t *testing.T, dir string) {
			packs, err := filepath.Glob(filepath.Join(dir, "objects", "pack", "*.pack"))
			if err != nil || len(packs) == 0 {
				t.Fatal("no pack", err)
			}
			_ = os.Chmod(packs[0], 0o600)
			if err := os.Truncate(packs[0], 20); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			repos, dir := newRepos(t)
			spec := source.Spec{URL: o.url()}
			if _, _, err := repos.Fetch(t.Context(), "k", spec); err != nil {
				t.Fatal(err)
			}
			folders, err := filepath.Glob(filepath.Join(dir, "*.git"))
			if err != nil || len(folders) != 1 {
				t.Fatal(folders, err)
			}
			tc.breaks(t, folders[0])
			commit, _, err := repos.Fetch(t.Context(), "k", spec)
			if err != nil || commit != first {
				t.Fatalf("%s\nwant %s, got %s, %v", tc.reason, first, commit, err)
			}
			tree, err := repos.Open("k", commit)
			if err != nil {
				t.Fatal(err)
			}
			if data, err := tree.ReadFile("b/c"); err != nil || string(data) != "2" {
				t.Errorf("%s\n%q, %v", tc.reason, data, err)
			}
		})
	}
}

func TestTree(t *testing.T) {
	o := newOrigin(t)
	commit := o.commit(map[string]string{"a.yaml": "A", "dir/b.yaml": "B", "dir/sub/c": "C", "dir-x": "X"})
	repos, _ := newRepos(t)
	if _, _, err := repos.Fetch(t.Context(), "k", source.Spec{URL: o.url()}); err != nil {
		t.Fatal(err)
	}
	tree, err := repos.Open("k", commit)
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(tree, "a.yaml", "dir/b.yaml", "dir/sub/c", "dir-x"); err != nil {
		t.Error(err)
	}
	before, err := tree.Hash("dir")
	if err != nil {
		t.Fatal(err)
	}
	commit = o.commit(map[string]string{"a.yaml": "changed"})
	if _, _, err := repos.Fetch(t.Context(), "k", source.Spec{URL: o.url()}); err != nil {
		t.Fatal(err)
	}
	if tree, err = repos.Open("k", commit); err != nil {
		t.Fatal(err)
	}
	if after, err := tree.Hash("dir"); err != nil || after != before {
		t.Errorf("the hash of a folder depends on its content only: %s, %s, %v", before, after, err)
	}
}

func TestTreeLinks(t *testing.T) {
	o := newOrigin(t)
	o.commit(map[string]string{"shared/x": "X", "dir/in": "->../shared/x", "dir/folder": "->../shared", "dir/out": "->../../etc/passwd",
		"dir/abs": "->/etc/passwd", "loop": "->loop", "dir/gone": "->nothing", "large": strings.Repeat("x", source.MaxFileSize+1)})
	head := o.submodule("dir/module")
	repos, _ := newRepos(t)
	if _, _, err := repos.Fetch(t.Context(), "k", source.Spec{URL: o.url(), Ref: v1alpha1.GitRef{Branch: "modules"}}); err != nil {
		t.Fatal(err)
	}
	tree, err := repos.Open("k", head)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		path  string
		want  string
		fails string
	}{
		"Inside":        {path: "dir/in", want: "X"},
		"ThroughFolder": {path: "dir/folder/x", want: "X"},
		"Outside":       {path: "dir/out", fails: "leads out of the repository"},
		"Absolute":      {path: "dir/abs", fails: "leads out of the repository"},
		"Loop":          {path: "loop", fails: "symbolic links"},
		"Dangling":      {path: "dir/gone", fails: fs.ErrNotExist.Error()},
		"Submodule":     {path: "dir/module", fails: `"dir/module" is a submodule`},
		"InSubmodule":   {path: "dir/module/x", fails: `"dir/module" is a submodule`},
		"Large":         {path: "large", fails: "bytes, more than"},
		"Parent":        {path: "../x", fails: fs.ErrInvalid.Error()},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			data, err := tree.ReadFile(tc.path)
			if tc.fails == "" && (err != nil || string(data) != tc.want) {
				t.Errorf("want %q, got %q, %v", tc.want, data, err)
			}
			if tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
				t.Errorf("want %q, got %v", tc.fails, err)
			}
		})
	}
}

// submodule adds an entry of that mode to the head's folder dir, on a branch of its own, and returns the commit.
func (o *origin) submodule(name string) string {
	o.t.Helper()
	head, err := o.repo.Head()
	if err != nil {
		o.t.Fatal(err)
	}
	commit, err := o.repo.CommitObject(head.Hash())
	if err != nil {
		o.t.Fatal(err)
	}
	root, err := commit.Tree()
	if err != nil {
		o.t.Fatal(err)
	}
	dir, err := root.Tree(filepath.Dir(name))
	if err != nil {
		o.t.Fatal(err)
	}
	entries := append([]object.TreeEntry{}, dir.Entries...)
	at := 0
	for at < len(entries) && entries[at].Name < filepath.Base(name) {
		at++
	}
	entries = append(entries[:at], append([]object.TreeEntry{{Name: filepath.Base(name), Mode: filemode.Submodule, Hash: head.Hash()}}, entries[at:]...)...)
	for i := range root.Entries {
		if root.Entries[i].Name == filepath.Dir(name) {
			root.Entries[i].Hash = o.store(&object.Tree{Entries: entries})
		}
	}
	commit.TreeHash = o.store(&object.Tree{Entries: root.Entries})
	hash := o.store(commit)
	if err := o.repo.Storer.SetReference(plumbing.NewHashReference("refs/heads/modules", hash)); err != nil {
		o.t.Fatal(err)
	}
	return hash.String()
}

func (o *origin) store(encoder interface {
	Encode(plumbing.EncodedObject) error
}) plumbing.Hash {
	o.t.Helper()
	encoded := o.repo.Storer.NewEncodedObject()
	if err := encoder.Encode(encoded); err != nil {
		o.t.Fatal(err)
	}
	hash, err := o.repo.Storer.SetEncodedObject(encoded)
	if err != nil {
		o.t.Fatal(err)
	}
	return hash
}

func TestAuthFromSecret(t *testing.T) {
	cases := map[string]struct {
		reason string
		data   map[string]string
		want   *source.Auth
	}{
		"Basic":       {reason: "Trailing newlines are no part of a password.", data: map[string]string{"username": "u", "password": "p\n"}, want: &source.Auth{Username: "u", Password: "p"}},
		"Token":       {reason: "A token needs no user.", data: map[string]string{"token": "t"}, want: &source.Auth{Username: "x-access-token", Password: "t"}},
		"WebhookOnly": {reason: "A public repo may have a webhook.", data: map[string]string{"webhook-secret": "w"}, want: &source.Auth{WebhookSecret: []byte("w")}},
		"SSHBlind":    {reason: "A key without known hosts would trust any server.", data: map[string]string{"ssh-privatekey": "k"}},
		"UserOnly":    {reason: "A user alone proves nothing.", data: map[string]string{"username": "u"}},
		"Both":        {reason: "Two secrets are one too many.", data: map[string]string{"username": "u", "password": "p", "token": "t"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			data := map[string][]byte{}
			for key, value := range tc.data {
				data[key] = []byte(value)
			}
			got, err := source.AuthFromSecret(data)
			if diff := cmp.Diff(tc.want, got); diff != "" || (err != nil) != (tc.want == nil) {
				t.Errorf("%s\n%v\n%s", tc.reason, err, diff)
			}
		})
	}
}

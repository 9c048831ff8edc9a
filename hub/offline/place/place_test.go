package place_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/offline/offlinetest"
	"github.com/periplus-fleet/periplus/hub/offline/place"
)

func TestFind(t *testing.T) {
	top := t.TempDir()
	offlinetest.Write(t, top, map[string]string{
		"fleet/clusters/a.yaml": "x", "fleet/bundles/a/bundle.yaml": "x", "fleet/bundles/a/clusters/own.yaml": "x", "fleet/bundles/a/deep/er/x": "x",
		"other/periplus.yaml": "x", "none/a.yaml": "x",
	})
	cases := map[string]struct {
		reason, folder string
		root, named    string
		err            string
	}{
		"Root":    {"The fleet repo itself.", "fleet", ".", ".", ""},
		"Bundle":  {"A bundle's folder belongs to the fleet repo above it, whatever its content is called.", "fleet/bundles/a", ".", "bundles/a", ""},
		"Deep":    {"So does one in it.", "fleet/bundles/a/deep/er", ".", "bundles/a/deep/er", ""},
		"File":    {"A file means its folder.", "fleet/bundles/a/bundle.yaml", ".", "bundles/a", ""},
		"Layout":  {"Other roots stand in periplus.yaml.", "other", ".", ".", ""},
		"None":    {"What is none says what was looked for.", "none", "", "", "is no fleet repo: neither it nor a folder above it, up to /, holds periplus.yaml, clusters/ or bundles/"},
		"Missing": {"What is not there is not searched.", "gone", "", "", "no such file or directory"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			at, err := place.Find(filepath.Join(top, filepath.FromSlash(tc.folder)))
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("%s\nFind: %v, want %q", tc.reason, err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if at.Root != tc.root || at.Named != tc.named || at.InGit() {
				t.Errorf("%s\nFind = root %q, named %q, git %v", tc.reason, at.Root, at.Named, at.InGit())
			}
		})
	}
}

func TestFindInGit(t *testing.T) {
	top := t.TempDir()
	offlinetest.Write(t, top, map[string]string{"sub/fleet/clusters/a.yaml": "1", "sub/fleet/b.yaml": "1", "elsewhere/c": "1"})
	first := offlinetest.Commit(t, top)
	at, err := place.Find(filepath.Join(top, "sub", "fleet", "clusters"))
	if err != nil {
		t.Fatal(err)
	}
	if at.Root != "sub/fleet" || at.Named != "sub/fleet/clusters" {
		t.Errorf("root %q, named %q", at.Root, at.Named)
	}
	offlinetest.Write(t, top, map[string]string{"sub/fleet/b.yaml": "2", "sub/fleet/new/x.yaml": "3", "elsewhere/c": "2"})
	if err := os.Remove(filepath.Join(top, "sub", "fleet", "clusters", "a.yaml")); err != nil {
		t.Fatal(err)
	}
	files, err := at.Files()
	if err != nil {
		t.Fatal(err)
	}
	state, err := at.State(files)
	want := place.State{Commit: first, Changed: []string{"sub/fleet/b.yaml", "sub/fleet/clusters/a.yaml", "sub/fleet/new/x.yaml"}}
	if diff := cmp.Diff(want, state); diff != "" || err != nil {
		t.Errorf("State: %v (-want +got):\n%s", err, diff)
	}
}

func TestRef(t *testing.T) {
	top := t.TempDir()
	files := map[string]string{"clusters/a.yaml": "1"}
	offlinetest.Write(t, top, files)
	commits := make([]string, 3)
	for i := range commits {
		files["n"] = strings.Repeat("x", i+1)
		offlinetest.Write(t, top, files)
		commits[i] = offlinetest.Commit(t, top)
	}
	repository, err := git.PlainOpen(top)
	if err != nil {
		t.Fatal(err)
	}
	for name, commit := range map[string]string{"refs/heads/both": commits[0], "refs/remotes/origin/both": commits[1], "refs/heads/local": commits[0], "refs/tags/light": commits[1]} {
		if err := repository.Storer.SetReference(plumbing.NewHashReference(plumbing.ReferenceName(name), plumbing.NewHash(commit))); err != nil {
			t.Fatal(err)
		}
	}
	at, err := place.Find(top)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		reason string
		ref    v1alpha1.GitRef
		want   string
		err    string
	}{
		"Remote": {"The hub takes the remote's branch.", v1alpha1.GitRef{Branch: "both"}, commits[1], ""},
		"Local":  {"One that was not pushed yet is the clone's own.", v1alpha1.GitRef{Branch: "local"}, commits[0], ""},
		"Tag":    {"A tag is the same everywhere.", v1alpha1.GitRef{Tag: "light"}, commits[1], ""},
		"Commit": {"So is a commit.", v1alpha1.GitRef{Commit: commits[2]}, commits[2], ""},
		"None":   {"What is not here may be fetched.", v1alpha1.GitRef{Branch: "gone"}, "", "this clone has no branch gone; git fetch --tags origin may bring it"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tree, err := at.Ref(tc.ref)
			switch {
			case tc.err != "":
				if err == nil || err.Error() != tc.err {
					t.Errorf("%s\nRef: %v, want %q", tc.reason, err, tc.err)
				}
			case err != nil:
				t.Fatal(err)
			case tree.Commit() != tc.want:
				t.Errorf("%s\nRef = %s, want %s", tc.reason, tree.Commit(), tc.want)
			}
		})
	}
}

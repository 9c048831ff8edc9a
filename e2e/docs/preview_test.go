package docs_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"

	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/root"
	"github.com/periplus-fleet/periplus/e2e/testenv"
	"github.com/periplus-fleet/periplus/hub/offline/offlinetest"
)

// TestPreviewAChange runs the commands of the how-to in a clone of the example fleet with the change that it shows.
func TestPreviewAChange(t *testing.T) {
	top, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(filepath.Join(top, "examples", "fleet"))); err != nil {
		t.Fatal(err)
	}
	// It needs a plugin, which the commands shown here do not declare.
	if err := os.RemoveAll(filepath.Join(folder, "bundles", "notebooks")); err != nil {
		t.Fatal(err)
	}
	commit := offlinetest.Commit(t, folder)
	repository, err := git.PlainOpen(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := repository.Storer.SetReference(plumbing.NewHashReference("refs/remotes/origin/main", plumbing.NewHash(commit))); err != nil {
		t.Fatal(err)
	}
	cluster := filepath.Join(folder, "clusters", "prod-eu.yaml")
	declared, err := os.ReadFile(cluster)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cluster, bytes.Replace(declared, []byte("predictionReplicas: 3"), []byte("predictionReplicas: 9"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	document := filepath.Join(top, "docs", "how-to", "preview-a-change.md")
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(folder)
	var printed strings.Builder
	ran := 0
	eachLine(t, document, func(number int, code string) {
		arguments, ok := strings.CutPrefix(code, "bin/periplus ")
		if !ok {
			return
		}
		ran++
		cmd := root.Command()
		var out, messages bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&messages)
		cmd.SetArgs(strings.Fields(arguments))
		want := 0
		if strings.Contains(code, "--exit-code") {
			want = 1
		}
		if got := client.ExitCode(cmd.ExecuteContext(t.Context())); got != want {
			t.Errorf("line %d: %s: exit code %d, want %d: %s", number, code, got, want, messages.String())
		}
		printed.WriteString(out.String())
	})
	if ran < 7 {
		t.Errorf("only %d commands were run", ran)
	}
	_, shown, _ := strings.Cut(string(text), "```text\n")
	shown, _, _ = strings.Cut(shown, "```")
	if shown == "" || !strings.Contains(printed.String(), shown) {
		t.Errorf("the document shows another diff than is printed; shown:\n%s", shown)
	}
	if _, err := os.Stat(filepath.Join("rendered", "prod-eu", "monitoring")); err != nil {
		t.Errorf("the folder of rendered objects is not as described: %v", err)
	}
}

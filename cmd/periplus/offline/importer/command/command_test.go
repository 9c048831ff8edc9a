package command

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/periplus-fleet/periplus/cmd/periplus/client"
)

func execute(t *testing.T, args ...string) (out, errs string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	format := ""
	for i, arg := range args {
		if arg == "-o" {
			format = args[i+1]
			args = append(args[:i:i], args[i+2:]...)
			break
		}
	}
	cmd := Command(client.Env{Options: &client.Options{}, Format: &format}, func() time.Time { return time.Unix(0, 0) })
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), err
}

func TestImportWritesAFleetRepoAndItsReport(t *testing.T) {
	out := filepath.Join(t.TempDir(), "fleet")
	table, hint, err := execute(t, "fleet", "../fleet/testdata/examples", "--out", out)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(table, "left out\tmulti-cluster/helm/fleet.yaml:22\t") || !strings.Contains(hint, "import-report.md") {
		t.Errorf("%s\n%s", table, hint)
	}
	for _, name := range []string{"import-report.md", "clusters/prod-1.yaml", "clusters/groups/prod.yaml", "bundles/examples-simple/bundle.yaml", "bundles/examples-simple/frontend-service.yaml"} {
		if _, err := os.Stat(filepath.Join(out, name)); err != nil {
			t.Error(err)
		}
	}
	table, _, err = execute(t, "fleet", "../fleet/testdata/examples", "--out", filepath.Join(t.TempDir(), "x"), "-o", "json")
	if err != nil || !json.Valid([]byte(table)) {
		t.Errorf("%v\n%s", err, table)
	}
}

func TestImportWritesNothing(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "fleet.yaml"), []byte("namespace: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "fresh")
	cases := map[string]struct {
		reason string
		args   []string
		out    string
		want   string
	}{
		"NotEmpty":  {"a folder that holds something is left alone", []string{"fleet", "../fleet/testdata/examples", "--out", full}, full, "--force"},
		"Broken":    {"what cannot be read stops the import", []string{"fleet", broken, "--out", fresh}, fresh, "fleet.yaml:1"},
		"Nothing":   {"so does a folder that holds nothing of the tool", []string{"argocd", full, "--out", fresh}, fresh, "neither an Application"},
		"NoFolder":  {"and one that is not there", []string{"flux", filepath.Join(full, "absent"), "--out", fresh}, fresh, "cannot read"},
		"NoOut":     {"it must be said where to write", []string{"flux", full}, fresh, "--out"},
		"BadLocal":  {"a local folder has a form", []string{"argocd", full, "--out", fresh, "--local", "x"}, fresh, "URL=FOLDER"},
		"FarLocal":  {"and is below what is read", []string{"argocd", full, "--out", fresh, "--local", "x=/"}, fresh, "must be below"},
		"NoCluster": {"Flux needs clusters' folders", []string{"flux", full, "--out", fresh}, fresh, "--clusters"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, _, err := execute(t, tc.args...)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v", tc.reason, err)
			}
			entries, _ := os.ReadDir(tc.out)
			if tc.out == full && len(entries) != 1 || tc.out == fresh && len(entries) != 0 {
				t.Errorf("%s: something was written: %v", tc.reason, entries)
			}
		})
	}
}

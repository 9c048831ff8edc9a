package render_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/render"
	"github.com/periplus-fleet/periplus/hub/offline/offlinetest"
)

const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {user: me, password: hunter2}\n"

// repo has a bundle for all clusters and one for prod.
func repo(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	offlinetest.Write(t, folder, map[string]string{
		"clusters/eu.yaml":      offlinetest.Cluster + "metadata: {name: eu-1, labels: {env: prod}}\n---\n" + offlinetest.Cluster + "metadata: {name: eu-2, labels: {env: prod}}\n",
		"clusters/dev.yaml":     offlinetest.Cluster + "metadata: {name: dev}\nspec: {variables: {size: 1}}\n",
		"bundles/a/bundle.yaml": offlinetest.Bundle + "metadata: {name: a}\nspec:\n  namespace: apps\n  targets: [{clusterSelector: {}}]\n",
		"bundles/a/map.yaml":    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: \"1\"}\n",
		"bundles/b/bundle.yaml": offlinetest.Bundle + "metadata: {name: b}\nspec: {targets: [{clusterSelector: {matchLabels: {env: prod}}}]}\n",
		"bundles/b/secret.yaml": secret,
		"bundles/b/gone.yaml":   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: gone, namespace: x}\n",
	})
	offlinetest.Commit(t, folder)
	return folder
}

// run gives standard output, standard error and the exit code.
func run(t *testing.T, args ...string) (out, messages string, code int) {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	cmd := render.Command(client.Env{Options: &client.Options{}, Format: new(string)})
	var stdout, stderr bytes.Buffer
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	if err != nil {
		stderr.WriteString("Error: " + err.Error() + "\n")
	}
	return stdout.String(), stderr.String(), client.ExitCode(err)
}

func TestRenderDocuments(t *testing.T) {
	out, messages, code := run(t, repo(t), "--all")
	want := `---
# a on dev, eu-1, eu-2
# bundles/a/map.yaml:1, revision DIGEST
# namespace: apps (where the kind has namespaces)
apiVersion: v1
data:
  x: "1"
kind: ConfigMap
metadata:
  name: a
---
# b on eu-1, eu-2
# bundles/b/gone.yaml:1, revision named by each hub alone
apiVersion: v1
kind: ConfigMap
metadata:
  name: gone
  namespace: x
---
# b on eu-1, eu-2
# bundles/b/secret.yaml:1, revision named by each hub alone
apiVersion: v1
kind: Secret
metadata:
  name: s
stringData:
  password: '***'
  user: '***'
`
	at := strings.Index(out, "revision ") + len("revision ")
	want = strings.ReplaceAll(want, "DIGEST", out[at:at+12])
	if diff := cmp.Diff(want, out); diff != "" || code != 0 {
		t.Errorf("exit code %d, %s (-want +got):\n%s", code, messages, diff)
	}
	if !strings.Contains(messages, "nothing uncommitted: 2 revisions, 3 objects, 5 deliveries") {
		t.Errorf("the summary is %q", messages)
	}
	if out, _, _ := run(t, repo(t), "--bundle", "b", "--show-secrets"); !strings.Contains(out, "hunter2") {
		t.Errorf("--show-secrets shows none:\n%s", out)
	}
}

// TestRenderSpecial shows what is no plain object: one that only its cluster opens, hooks, and what is generated.
func TestRenderSpecial(t *testing.T) {
	folder := t.TempDir()
	offlinetest.Write(t, folder, map[string]string{
		"clusters/a.yaml":          offlinetest.Cluster + "metadata: {name: a}\n---\n" + offlinetest.Cluster + "metadata: {name: b}\n",
		"bundles/sea/bundle.yaml":  offlinetest.Bundle + "metadata: {name: sea}\nspec: {labels: {team: x}, targets: [{clusterSelector: {}}]}\n",
		"bundles/sea/s.yaml":       "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: 'ENC[AES256_GCM,data:eA==,type:str]'}\nsops: {mac: 'ENC[x]'}\n",
		"bundles/gen/bundle.yaml":  offlinetest.Bundle + "metadata: {name: gen}\nspec:\n  source: {helm: {chart: c}}\n  generate: {once: [{kind: ConfigMap, pointers: [/data/id]}]}\n  targets: [{clusterSelector: {}}]\n",
		"bundles/gen/c/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n",
		"bundles/gen/c/templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: id}\ndata: {id: {{ randAlphaNum 9 }}}\n---\n" +
			"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: h, annotations: {helm.sh/hook: 'pre-install,test', helm.sh/hook-weight: '3'}}\n",
	})
	out, messages, code := run(t, folder, "--all")
	if code != 0 {
		t.Fatal(messages)
	}
	for _, want := range []string{
		"# sea on a, b\n", "# sealed: the cluster opens it, then: patch ", "ENC[AES256_GCM,data:eA==,type:str]",
		"# gen on a, b\n", "# generated once for each cluster: /data/id\n", "  id: (generated once)\n", "# hook: pre-install, weight 3, deleted before-hook-creation\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	if again, _, _ := run(t, folder, "--all"); again != out {
		t.Error("two runs show different objects")
	}
}

func TestRenderFolder(t *testing.T) {
	into := filepath.Join(t.TempDir(), "out")
	if _, messages, code := run(t, repo(t), "--all", "-o", "dir="+into); code != 0 {
		t.Fatal(messages)
	}
	var got []string
	err := filepath.WalkDir(into, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			relative, _ := filepath.Rel(into, path)
			got = append(got, filepath.ToSlash(relative))
		}
		return err
	})
	want := []string{"dev/a/configmap_a.yaml", "eu-1/a/configmap_a.yaml", "eu-1/b/configmap_x_gone.yaml", "eu-1/b/secret_s.yaml",
		"eu-2/a/configmap_a.yaml", "eu-2/b/configmap_x_gone.yaml", "eu-2/b/secret_s.yaml"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, messages, code := run(t, repo(t), "--all", "-o", "dir="+into); code != 1 || !strings.Contains(messages, "not empty") {
		t.Errorf("a second run over the first: exit code %d, %s", code, messages)
	}
}

func TestRenderMistakes(t *testing.T) {
	folder := repo(t)
	offlinetest.Write(t, folder, map[string]string{
		"bundles/bad/bundle.yaml": offlinetest.Bundle + "metadata: {name: bad}\nspec: {}\n",
		"bundles/c/bundle.yaml":   offlinetest.Bundle + "metadata: {name: c}\nspec:\n  targets: [{clusterSelector: {}}]\n  labels: {size: \"${{ string(cluster.variables.size) }}\"}\n",
		"bundles/c/map.yaml":      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
	})
	cases := map[string]struct {
		reason string
		args   []string
		code   int
		want   []string
	}{
		"Nothing": {"The whole fleet is not printed by accident.", nil, 2, []string{"say what to render"}},
		"Format":  {"Formats are named.", []string{"--all", "-o", "tree"}, 2, []string{"want yaml, json, name or dir=FOLDER"}},
		"Cluster": {"A slip is suggested.", []string{"-c", "eu-9"}, 2, []string{"did you mean eu-1 or eu-2?"}},
		"Local":   {"One mistake is told, with the clusters, and the rest is shown.", []string{"--bundle", "c"}, 1, []string{"bundles/c/bundle.yaml:6: spec.labels.size:", "(on eu-1)", "1 mistake of bundles that are not shown here", "2 mistakes; everything else is shown"}},
		"Refused": {"A bundle that was refused says where.", []string{"--bundle", "bad"}, 1, []string{"bundles/bad/bundle.yaml:4: spec.targets"}},
		"Folder":  {"A folder without bundles is told.", nil, 2, []string{"there is no bundle in clusters"}},
		"Commit":  {"An unknown commit is named.", []string{"--all", "--commit", "nope"}, 1, []string{`cannot find commit "nope"`}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			args := append([]string{folder}, tc.args...)
			if name == "Folder" {
				args = []string{filepath.Join(folder, "clusters"), "-c", "eu-1"}
			}
			_, messages, code := run(t, args...)
			if code != tc.code {
				t.Errorf("%s\nexit code %d, want %d", tc.reason, code, tc.code)
			}
			for _, want := range tc.want {
				if !strings.Contains(messages, want) {
					t.Errorf("%s\n%q is not in:\n%s", tc.reason, want, messages)
				}
			}
		})
	}
}

func TestDiff(t *testing.T) {
	cases := map[string]struct {
		reason string
		change map[string]string
		remove []string
		args   []string
		code   int
		want   string
	}{
		"Nothing": {reason: "Without a change there is nothing to see.", want: "nothing changes\n"},
		"Changed": {
			reason: "One change on many clusters is shown once; a Secret's change is seen and its value is not.",
			change: map[string]string{"bundles/b/secret.yaml": strings.Replace(secret, "hunter2", "hunter3", 1)},
			args:   []string{"--exit-code"}, code: 1,
			want: `bundle b
~ Secret s  on eu-1, eu-2  [bundles/b/secret.yaml:1]
  --- HEAD
  +++ working tree
  @@ -3,5 +3,5 @@
   metadata:
     name: s
   stringData:
  -  password: '*** (before)'
  +  password: '*** (after)'
     user: '***'

+0 added -0 removed ~1 changed, in 1 bundle on 2 clusters
`,
		},
		"Removed": {
			reason: "What leaves is shown, be it one object or all of a cluster's.",
			remove: []string{"bundles/b/gone.yaml", "clusters/dev.yaml"}, args: []string{"-o", "name"},
			want: "removed\ta\tdev\tConfigMap a\nremoved\tb\teu-1,eu-2\tConfigMap x/gone\n",
		},
		"Moved": {
			reason: "An object that only moved to another file is the same.",
			change: map[string]string{"bundles/b/moved.yaml": "# moved\n\n" + secret}, remove: []string{"bundles/b/secret.yaml"},
			want: "nothing changes\n",
		},
		"Frozen": {
			reason: "A bundle that cannot be read stays as it is, as in the hub: nothing of it is removed.",
			change: map[string]string{"bundles/b/bundle.yaml": "kind: [\n"}, args: []string{"--exit-code"}, code: 2,
			want: "nothing changes\n",
		},
		"Added": {
			reason: "A new cluster gets all that is meant for it.",
			change: map[string]string{"clusters/new.yaml": offlinetest.Cluster + "metadata: {name: new}\n"}, args: []string{"-o", "name", "-c", "new"},
			want: "added\ta\tnew\tConfigMap a\n",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			folder := repo(t)
			offlinetest.Write(t, folder, tc.change)
			for _, name := range tc.remove {
				if err := os.Remove(filepath.Join(folder, filepath.FromSlash(name))); err != nil {
					t.Fatal(err)
				}
			}
			out, messages, code := run(t, append([]string{folder, "--diff", "HEAD"}, tc.args...)...)
			if diff := cmp.Diff(tc.want, out); diff != "" || code != tc.code {
				t.Errorf("%s\nexit code %d, want %d; %s (-want +got):\n%s", tc.reason, code, tc.code, messages, diff)
			}
		})
	}
}

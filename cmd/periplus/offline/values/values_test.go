package values_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/values"
	"github.com/periplus-fleet/periplus/hub/offline/offlinetest"
)

func repo(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	offlinetest.Write(t, folder, map[string]string{
		"clusters/eu.yaml": offlinetest.Cluster + "metadata: {name: eu-1, labels: {env: prod}}\nspec: {variables: {size: 7}}\n",
		"bundles/a/bundle.yaml": offlinetest.Bundle + `metadata: {name: a}
spec:
  source: {helm: {chart: chart, valuesFiles: [low.yaml]}}
  values:
    replicas: 2
    size: ${{ cluster.variables.size }}
  targets:
    - name: all
      clusterSelector: {}
      values:
        replicas: 3
  overlays:
    - name: prod
      clusterSelector: {matchLabels: {env: prod}}
      values: {image: null}
`,
		"bundles/a/low.yaml":                 "image: {name: x}\nreplicas: 1\nonly: low\n",
		"bundles/a/chart/values.yaml":        "# The chart's.\nreplicas: 0\nport: 80\n",
		"bundles/a/chart/Chart.yaml":         "apiVersion: v2\nname: a\nversion: 1.0.0\n",
		"bundles/b/bundle.yaml":              offlinetest.Bundle + "metadata: {name: b}\nspec:\n  valuesFrom: [{secret: {name: s}}]\n  source: {helm: {chart: chart}}\n  targets: [{clusterSelector: {}}]\n",
		"bundles/b/chart/Chart.yaml":         "apiVersion: v2\nname: b\nversion: 1.0.0\n",
		"elsewhere/hub.yaml":                 "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s}, data: {values.yaml: cGFzc3dvcmQ6IGh1bnRlcjI=}}\n",
		"bundles/c/bundle.yaml":              offlinetest.Bundle + "metadata: {name: c}\nspec: {targets: [{clusterNames: [us-*]}]}\n",
		"bundles/c/a.yaml":                   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
		"bundles/broken/bundle.yaml":         offlinetest.Bundle + "metadata: {name: broken}\nspec: {}\n",
		"bundles/a/chart/templates/.gitkeep": "",
	})
	return folder
}

func run(t *testing.T, args ...string) (out, messages string, code int) {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	cmd := values.Command(client.Env{Options: &client.Options{}, Format: new(string)})
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

func TestValues(t *testing.T) {
	folder := repo(t)
	out, messages, code := run(t, "a", "-c", "eu-1", "--repo", filepath.Join(folder, "clusters"))
	want := strings.Join([]string{
		"image\tnull\tbundles/a/bundle.yaml:17\tx (image.name, bundles/a/low.yaml:1)",
		"only\tlow\tbundles/a/low.yaml:3\t-",
		"port\t80\tbundles/a/chart/values.yaml:3\t-",
		"replicas\t3\tbundles/a/bundle.yaml:13\t2 (bundles/a/bundle.yaml:7); 1 (bundles/a/low.yaml:2); 0 (bundles/a/chart/values.yaml:2)",
		"size\t7\tbundles/a/bundle.yaml:8\t-",
	}, "\n") + "\n"
	if diff := cmp.Diff(want, out); diff != "" || code != 0 {
		t.Errorf("exit code %d, %s (-want +got):\n%s", code, messages, diff)
	}
	if !strings.Contains(messages, "a on eu-1, target all, overlays prod") {
		t.Errorf("what was chosen is not told: %q", messages)
	}
	if byFolder, _, _ := run(t, filepath.Join(folder, "bundles", "a"), "-c", "eu-1"); byFolder != out {
		t.Errorf("the bundle's folder gives something else than its name:\n%s", byFolder)
	}
	out, messages, code = run(t, "b", "-c", "eu-1", "--repo", folder, "--hub-objects", filepath.Join(folder, "elsewhere", "hub.yaml"))
	if want := "password\t(secret)\tSecret \"s\", key values.yaml:1\t-\n"; out != want || code != 0 {
		t.Errorf("a Secret's value: %q, %s; want %q", out, messages, want)
	}
}

func TestValuesMistakes(t *testing.T) {
	folder := repo(t)
	cases := map[string]struct {
		reason string
		args   []string
		code   int
		want   string
	}{
		"Cluster":       {"Values differ by cluster.", []string{"a"}, 2, "values needs --cluster"},
		"Unknown":       {"A slip is suggested.", []string{"a", "-c", "eu-2"}, 2, "did you mean eu-1?"},
		"NoTarget":      {"A bundle that does not go there has no values.", []string{"c", "-c", "eu-1"}, 1, "no target matches cluster eu-1"},
		"Refused":       {"A bundle that cannot be read says where.", []string{"broken", "-c", "eu-1"}, 1, "bundles/broken/bundle.yaml:4: spec.targets"},
		"RefusedFolder": {"By its folder, too.", []string{filepath.Join(folder, "bundles/broken"), "-c", "eu-1"}, 1, "bundles/broken/bundle.yaml:4: spec.targets"},
		"Objects":       {"What the hub's API holds is asked for.", []string{"b", "-c", "eu-1"}, 1, "--hub-objects"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, messages, code := run(t, append(tc.args, "--repo", folder)...)
			if code != tc.code || !strings.Contains(messages, tc.want) {
				t.Errorf("%s\nexit code %d, want %d; want %q in:\n%s", tc.reason, code, tc.code, tc.want, messages)
			}
		})
	}
}

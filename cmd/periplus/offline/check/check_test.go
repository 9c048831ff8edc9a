package check_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/check"
	"github.com/periplus-fleet/periplus/hub/offline/offlinetest"
)

// repo has a bundle for three clusters, whose key is denied in prod, and a policy on clusters themselves.
func repo(t *testing.T, size string) string {
	t.Helper()
	folder := t.TempDir()
	offlinetest.Write(t, folder, map[string]string{
		"clusters/eu.yaml": offlinetest.Cluster + "metadata: {name: eu-1, labels: {env: prod}}\n---\n" + offlinetest.Cluster + "metadata: {name: eu-2, labels: {env: prod}}\n---\n" +
			offlinetest.Cluster + "metadata: {name: dev}\nspec: {variables: {size: " + size + "}}\n",
		"bundles/a/bundle.yaml": offlinetest.Bundle + "metadata: {name: a}\nspec:\n  namespace: apps\n  targets: [{clusterSelector: {}}]\n",
		"bundles/a/map.yaml":    "\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: \"1\"}\n",
		"policies/keys.rego": "# METADATA\n# title: No key x\n# custom:\n#   input: periplus\n#   kinds: [ConfigMap]\npackage keys\n\n" +
			"deny contains \"no x\" if {\n\tinput.object.data.x\n\tinput.cluster.labels.env == \"prod\"\n}\n",
		"policies/sizes.rego": "# METADATA\n# custom:\n#   input: periplus\n#   kinds: [FleetCluster.fleet.periplus.dev]\n#   action: warn\npackage sizes\n\n" +
			"deny contains \"too large\" if input.cluster.variables.size > 3\n",
	})
	offlinetest.Commit(t, folder)
	return folder
}

func run(t *testing.T, args ...string) (out, messages string, code int) {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	cmd := check.Command(client.Env{Options: &client.Options{}, Format: new(string)}, func() time.Time { return time.Unix(1, 0) })
	var stdout, stderr bytes.Buffer
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), client.ExitCode(err)
}

func TestCheck(t *testing.T) {
	out, messages, code := run(t, repo(t, "5"))
	want := "bundles/a/map.yaml:2\tfail\tdeny\tkeys\tConfigMap a\tno x\teu-1, eu-2\tpolicies/keys.rego:8\n" +
		"clusters/eu.yaml:9\twarn\twarn\tsizes\tFleetCluster.fleet.periplus.dev fleet/dev\ttoo large\tdev\tpolicies/sizes.rego:8\n"
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if code != 1 || !strings.Contains(messages, "2 policies, 6 objects, 2 findings, of which 1 deny") {
		t.Errorf("want exit 1 and a summary, got %d: %s", code, messages)
	}
}

func TestExitCodes(t *testing.T) {
	cases := map[string]struct {
		reason string
		args   []string
		want   int
	}{
		"Passes":  {"dev is not prod", []string{"-c", "dev"}, 0},
		"Denied":  {"", []string{"-c", "eu-1"}, 1},
		"Format":  {"a mistake of usage", []string{"-o", "xml"}, 2},
		"Unknown": {"a mistake of usage", []string{"-c", "eu-9"}, 2},
	}
	folder := repo(t, "1")
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, messages, code := run(t, append([]string{folder}, c.args...)...); code != c.want {
				t.Errorf("%s: want exit code %d, got %d: %s", c.reason, c.want, code, messages)
			}
		})
	}
}

func TestRefusedPolicyFails(t *testing.T) {
	folder := repo(t, "1")
	offlinetest.Write(t, folder, map[string]string{"policies/keys.rego": "package keys\n\ndeny contains {\n"})
	if _, messages, code := run(t, folder); code != 1 || !strings.Contains(messages, "policies/keys.rego:") {
		t.Errorf("a policy that cannot be read must fail the check, got %d: %s", code, messages)
	}
}

func TestSARIF(t *testing.T) {
	out, _, _ := run(t, repo(t, "5"), "-o", "sarif")
	var got struct {
		Version string
		Runs    []struct {
			Results []struct {
				RuleID, Level string
				Locations     []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	first := got.Runs[0].Results[0]
	at := first.Locations[0].PhysicalLocation
	if got.Version != "2.1.0" || first.Level != "error" || first.RuleID != "keys" || at.ArtifactLocation.URI != "bundles/a/map.yaml" || at.Region.StartLine != 2 {
		t.Errorf("unexpected SARIF: %s", out)
	}
}

func TestJUnitAndJSON(t *testing.T) {
	folder := repo(t, "5")
	var junit struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
	}
	out, _, _ := run(t, folder, "-o", "junit")
	if err := xml.Unmarshal([]byte(out), &junit); err != nil || junit.Tests != 2 || junit.Failures != 1 {
		t.Errorf("want 2 tests with 1 failure, got %+v, %v", junit, err)
	}
	var answer struct {
		Denied   int
		Findings []struct{ Clusters []string }
	}
	out, _, _ = run(t, folder, "-o", "json")
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.Denied != 1 || len(answer.Findings) != 2 || len(answer.Findings[0].Clusters) != 2 {
		t.Errorf("unexpected JSON (%v): %s", err, out)
	}
}

// One object is explained on each cluster: what fires there, and why the rest is not asked.
func TestExplain(t *testing.T) {
	folder := repo(t, "1")
	out, messages, code := run(t, folder, "--explain", "ConfigMap/a", "-c", "eu-1")
	for _, want := range []string{"ConfigMap apps/a of bundle a on eu-1 (bundles/a/map.yaml:2), at commit",
		"keys\tfail\t-\tdeny (itself)\tno x\tpolicies/keys.rego:8\n",
		"sizes\tnot asked\t-\twarn (itself)\tit is about FleetCluster.fleet.periplus.dev, not about ConfigMap\t-\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in %q (%s)", want, out, messages)
		}
	}
	if code != 0 {
		t.Errorf("explaining is no verdict: exit code %d", code)
	}
	if out, _, _ := run(t, folder, "--explain", "a", "-c", "dev", "-o", "json"); !strings.Contains(out, `"findings": []`) {
		t.Errorf("on another cluster it passes: %s", out)
	}
	if _, _, code := run(t, folder, "--explain", "b"); code != 1 {
		t.Errorf("an object that nobody makes is a mistake: exit code %d", code)
	}
	if _, _, code := run(t, folder, "--explain", "a", "--point", "never"); code != 2 {
		t.Errorf("a point that is none is wrong usage: exit code %d", code)
	}
}

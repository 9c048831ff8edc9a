package flux

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer/importertest"
)

func imported(t *testing.T, folder string, local map[string]string) (*importer.Repo, *importertest.World) {
	t.Helper()
	repo, err := Import(t.Context(), Config{Tree: os.DirFS(folder), Local: local, Now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	return repo, importertest.Read(t, repo)
}

type rendering struct {
	reason    string
	cluster   string
	bundle    string
	namespace string
	want      []map[string]any
}

func compare(t *testing.T, world *importertest.World, cases map[string]rendering) {
	t.Helper()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := world.Render(t, world.Declared(t, tc.cluster), tc.bundle)
			if diff := cmp.Diff(importertest.Set(t, tc.namespace, tc.want), got); diff != "" {
				t.Errorf("%s\n%s\n%s", tc.reason, diff, world.File("bundles/"+tc.bundle+"/bundle.yaml"))
			}
		})
	}
}

// without takes Flux's own objects out, which only Flux reads.
func without(objects []map[string]any) []map[string]any {
	var out []map[string]any
	for _, object := range objects {
		if !strings.Contains(object["apiVersion"].(string), ".fluxcd.io/") {
			out = append(out, object)
		}
	}
	return out
}

// substituted is a folder of manifests as Flux would build it: put into a namespace by kustomize, its output filled in.
func substituted(t *testing.T, folder string, replacements ...string) []map[string]any {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(copied)
	if err != nil {
		t.Fatal(err)
	}
	text := "namespace: settings\nresources:\n"
	for _, entry := range entries {
		text += "- " + entry.Name() + "\n"
	}
	if err := os.WriteFile(filepath.Join(copied, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	replacer := strings.NewReplacer(replacements...)
	objects := importertest.Kustomize(t, copied)
	for _, object := range objects {
		metadata := object["metadata"].(map[string]any)
		labels, _ := metadata["labels"].(map[string]any)
		if labels == nil {
			labels = map[string]any{}
		}
		labels["team"] = "platform"
		metadata["labels"] = labels
		if data, ok := object["data"].(map[string]any); ok && metadata["name"] != "script" {
			for key, value := range data {
				data[key] = replacer.Replace(value.(string))
			}
		}
	}
	return objects
}

func TestKustomizeHelmExampleRendersWhatFluxWould(t *testing.T) {
	const folder = "testdata/kustomize-helm"
	_, world := imported(t, folder, nil)
	at := func(name string) string { return filepath.Join(folder, name) }
	issuers := importertest.Kustomize(t, at("infrastructure/configs"))
	production := importertest.Kustomize(t, at("infrastructure/configs"))
	production[0]["spec"].(map[string]any)["acme"].(map[string]any)["server"] = "https://acme-v02.example.com/directory"
	settings := func(cluster, upper string, replicas int) []map[string]any {
		out := substituted(t, at("settings"), "${cluster_env}", cluster, "${region}-${zone}", "eu-b", "${tier:=bronze}", "bronze", "${cluster_env^^}", upper, "$${kept}", "${kept}")
		importertest.Find(t, out, "Deployment", "settings")["spec"].(map[string]any)["replicas"] = replicas
		return out
	}
	web := func(replicas int) []map[string]any {
		return importertest.Helm(t, at("charts/web"), "web-system-web", "web-system",
			map[string]any{"site": "example", "message": "hello", "replicas": replicas, "price": "${ not ours }"})
	}
	compare(t, world, map[string]rendering{
		"Apps":              {"what an overlay applies besides its releases", "staging", "apps", "", without(importertest.Kustomize(t, at("apps/staging")))},
		"ConfigsStaging":    {"a kustomization as it is", "staging", "infra-configs", "", issuers},
		"ConfigsProduction": {"a patch of the Kustomization object", "production", "infra-configs", "", production},
		"Controllers":       {"only a namespace is left beside the releases", "production", "infra-controllers", "", without(importertest.Kustomize(t, at("infrastructure/controllers")))},
		"Cluster":           {"what stands in the cluster's own folder", "staging", "cluster-config", "", importertest.Manifests(t, at("clusters/staging"), "cluster-vars.yaml")},
		"SettingsStaging":   {"variables with defaults and functions, a namespace over all, labels", "staging", "settings", "settings", settings("staging", "STAGING", 1)},
		"SettingsProd":      {"the other cluster's variables", "production", "settings", "settings", settings("production", "PRODUCTION", 3)},
		"WebStaging":        {"a chart of this repository: its values file, a ConfigMap that the overlay makes, the release's values", "staging", "web", "web-system", web(2)},
		"WebProduction":     {"the other overlay's values", "production", "web", "web-system", web(5)},
	})
}

func TestKustomizeHelmExampleBundles(t *testing.T) {
	repo, world := imported(t, "testdata/kustomize-helm", nil)
	for bundle, wants := range map[string][]string{
		"podinfo": {"oci: oci://registry.example.com/charts/podinfo", "version: '>=1.0.0'", "version: '>=1.0.0-alpha'", "tests: true", "host: podinfo.staging", "bundle: infra-configs",
			"bundle: apps", "mode: Report"},
		"cert-manager":  {"oci: oci://registry.example.com/charts/cert-manager", "version: 1.x", "bundle: infra-controllers", "- production\n        - staging"},
		"ingress-nginx": {"repository: https://charts.example.com/ingress-nginx\n", "name: ingress-nginx", "at: /controller/token", "optional: true", "bundle: cert-manager", "/spec/replicas", "priorityClassName", "bundle: namespace-ingress-nginx"},
		"infra-configs": {"bundle: infra-controllers", "bundle: ingress-nginx"},
		"apps":          {"timeout: 5m0s", "bundle: infra-configs", "path: apps/production"},
		"web":           {"bundle: namespace-web-system", "releaseName: web-system-web", "chart: charts/web"},
	} {
		text := world.File("bundles/" + bundle + "/bundle.yaml")
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("bundle %s lacks %q:\n%s", bundle, want, text)
			}
		}
	}
	text := repo.Report.Markdown("Flux")
	for _, want := range []string{"infrastructure/controllers/ingress-nginx.yaml:", "postRenderers: images", "valuesFrom ingress-secrets", "clusters/staging/settings.yaml:", "Kustomization flux-system/settings: postBuild"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "unknown") || strings.Contains(text, "does not know") {
		t.Error(text)
	}
}

func TestMultiTenancy(t *testing.T) {
	const folder = "testdata/multi-tenancy"
	const url = "https://github.com/fluxcd/flux2-multi-tenancy"
	_, world := imported(t, folder, map[string]string{url + "#dev-team": "docs/dev-team-repository"})
	compare(t, world, map[string]rendering{
		"Tenants": {"what makes the tenant", "staging", "tenants", "", without(importertest.Kustomize(t, filepath.Join(folder, "tenants/staging")))},
		"Team":    {"what the tenant's own repository holds for the cluster", "production", "dev-team", "", importertest.Kustomize(t, filepath.Join(folder, "docs/dev-team-repository/production"))},
	})
	if team := world.File("bundles/dev-team/bundle.yaml"); !strings.Contains(team, "serviceAccountName: dev-team") || !strings.Contains(team, "path: docs/dev-team-repository/staging") {
		t.Error(team)
	}
	repo, _ := imported(t, folder, nil)
	if text := repo.Report.Markdown("Flux"); !strings.Contains(text, url) || repo.Bundles["dev-team"] != nil {
		t.Errorf("a repository that is not here is reported, not guessed:\n%s", text)
	}
}

func TestSubstitute(t *testing.T) {
	vars := map[string]string{"env": "prod", "empty": ""}
	cases := map[string]struct {
		reason, in, want string
		unknown          int
	}{
		"Plain":    {"a variable", "a ${env} b", "a prod b", 0},
		"Default":  {"a default for what is not set or empty", "${none:=x} ${empty:-y} ${env:=z}", "x y prod", 0},
		"Unset":    {"and one for what is not set only", "${none=x}${empty=y}", "x", 0},
		"Upper":    {"functions", "${env^^} ${env:1} ${env:1:2} ${env/p/b} ${env//o/0}", "PROD rod ro brod pr0d", 0},
		"Escaped":  {"two dollars are one", "$${env}", "${env}", 0},
		"Other":    {"other dollars are left alone", "$env $(env) ${{ env }}", "$env $(env) ${{ env }}", 0},
		"Unknown":  {"what has no value stays, and is named", "${none}", "${none}", 1},
		"Disabled": {"an object may refuse", "a: ${env}\n---\nkustomize.toolkit.fluxcd.io/substitute: disabled\nb: ${env}", "a: prod\n---\nkustomize.toolkit.fluxcd.io/substitute: disabled\nb: ${env}", 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got, unknown := substitute(tc.in, vars); got != tc.want || len(unknown) != tc.unknown {
				t.Errorf("%s: %q, %v", tc.reason, got, unknown)
			}
		})
	}
}

func TestRooted(t *testing.T) {
	roots := map[string]string{"monorepo": "."}
	cases := map[string]struct {
		reason, from, to, want string
		ok                     bool
	}{
		"Whole":  {"a folder as the artifact", "@monorepo/infrastructure/**", "@artifact/", "infrastructure", true},
		"Below":  {"a folder that keeps its place", "@monorepo/apps/base/**", "@artifact/base/", "apps", true},
		"Moved":  {"one that does not", "@monorepo/apps/base/**", "@artifact/other/", "", false},
		"Source": {"a source that is not here", "@x/apps/**", "@artifact/", "", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got, ok := rooted(tc.from, tc.to, roots); ok != tc.ok || ok && got != tc.want {
				t.Errorf("%s: %q, %v", tc.reason, got, ok)
			}
		})
	}
}

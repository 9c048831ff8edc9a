package argocd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer/importertest"
)

func imported(t *testing.T, folder string) (*importer.Repo, *importertest.World) {
	t.Helper()
	repo, err := Import(t.Context(), Config{Tree: os.DirFS(folder)})
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
			var want map[string]string
			if tc.want != nil {
				want = importertest.Set(t, tc.namespace, tc.want)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s\n%s\n%s", tc.reason, diff, world.File("bundles/"+tc.bundle+"/bundle.yaml"))
			}
		})
	}
}

// optioned is a folder with its kustomization written anew, as `kustomize edit` leaves it.
func optioned(t *testing.T, folder, kustomization string) []map[string]any {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(copied, "kustomization.yaml"), []byte(kustomization), 0o600); err != nil {
		t.Fatal(err)
	}
	return importertest.Kustomize(t, copied)
}

func TestExampleAppsRenderWhatArgoCDWould(t *testing.T) {
	const folder = "testdata/example-apps"
	_, world := imported(t, folder)
	at := func(name string) string { return filepath.Join(folder, name) }
	waves := importertest.Manifests(t, at("sync-waves"), "manifests.yaml")[1:]
	compare(t, world, map[string]rendering{
		"Guestbook": {"a directory of manifests", "in-cluster", "guestbook", "guestbook",
			importertest.Manifests(t, at("guestbook"), "guestbook-deployment.yaml", "guestbook-svc.yaml")},
		"Helm": {"values file, values and parameters in their order; a parameter changes an item of the file's list", "in-cluster", "helm-guestbook", "helm-guestbook",
			importertest.Helm(t, at("helm-guestbook"), "helm-guestbook", "helm-guestbook", map[string]any{"service": map[string]any{"type": "LoadBalancer"},
				"hosts": []any{"b.example.com", "d.example.com"}, "replicaCount": 2, "image": map[string]any{"tag": "0.2"}, "note": "a, b of helm-guestbook"})},
		"Kustomize": {"options are written into the kustomization", "in-cluster", "kustomize-guestbook", "kustomize-guestbook",
			optioned(t, at("kustomize-guestbook"), `
namePrefix: kustomize-
nameSuffix: -x
resources: [guestbook-deployment.yaml, guestbook-svc.yaml]
images: [{name: registry.example.com/guestbook, newTag: "0.3"}]
commonLabels: {team: web}
replicas: [{name: guestbook-ui, count: 4}]
patches:
- target: {kind: Service, name: guestbook-ui}
  patch: '[{"op": "replace", "path": "/spec/ports/0/port", "value": 8080}]'
`)},
		"SyncWaves": {"hooks are taken out, waves stay as they are", "in-cluster", "sync-waves", "sync-waves", waves},
		"BlueGreen": {"a chart of another kind of object", "in-cluster", "blue-green", "blue-green",
			importertest.Helm(t, at("blue-green"), "blue-green", "blue-green", nil)},
		"SecondSource": {"of several sources each is a bundle", "prod", "ingress-guestbook", "ingress",
			importertest.Manifests(t, at("guestbook"), "guestbook-deployment.yaml", "guestbook-svc.yaml")},
	})
}

func TestExampleAppsReport(t *testing.T) {
	repo, world := imported(t, "testdata/example-apps")
	ingress := world.File("bundles/ingress-ingress/bundle.yaml")
	for _, want := range []string{"repository: https://charts.example.com\n", "version: 4.*", "values/values.yaml", "replicas: 2", "$${{ kept }}"} {
		if !strings.Contains(ingress, want) {
			t.Errorf("%q is missing in\n%s", want, ingress)
		}
	}
	helm := world.File("bundles/helm-guestbook/bundle.yaml")
	for _, want := range []string{"/spec/replicas", "/spec/template/spec/containers/0/image", "bundle: namespace-helm-guestbook"} {
		if !strings.Contains(helm, want) {
			t.Errorf("%q is missing in\n%s", want, helm)
		}
	}
	if strings.Contains(helm, "mode:") || !strings.Contains(world.File("bundles/guestbook/bundle.yaml"), "mode: Report") {
		t.Error("drift is repaired where selfHeal is, and reported elsewhere")
	}
	text := repo.Report.Markdown("Argo CD")
	for _, want := range []string{"| root.yaml:1 | Application argocd/apps | an app of apps: it holds 5 objects of Argo CD, which were read |", "sync-waves/manifests.yaml:1 | Job before: hook PreSync",
		"sync-waves/manifests.yaml:8 | sync wave", "AppProject argocd/default", "PruneLast=true", ".spec.x[] \\| .y"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
}

func TestApplicationSetsRenderWhatArgoCDWould(t *testing.T) {
	const folder = "testdata/appsets"
	repo, world := imported(t, folder)
	at := func(name string) string { return filepath.Join(folder, name) }
	app := func(release, namespace string, values map[string]any) []map[string]any {
		return importertest.Helm(t, at("app"), release, namespace, values)
	}
	compare(t, world, map[string]rendering{
		"ListDev":       {"one bundle, an overlay for each cluster", "engineering-dev", "guestbook", "guestbook", importertest.Kustomize(t, at("cluster-config/engineering-dev"))},
		"ListProd":      {"the other one", "engineering-prod", "guestbook", "guestbook", importertest.Kustomize(t, at("cluster-config/engineering-prod"))},
		"Directories":   {"a folder each", "engineering-dev", "addons-workflows", "workflows", importertest.Manifests(t, at("cluster-addons/workflows"), "manifest.yaml")},
		"FilesDev":      {"parameters of a file", "engineering-dev", "sized", "sized", app("sized", "sized", map[string]any{"size": "small"})},
		"FilesProd":     {"of the other file", "engineering-prod", "sized", "sized", app("sized", "sized", map[string]any{"size": "large"})},
		"Clusters":      {"facts of the cluster become expressions", "engineering-prod", "everywhere", "everywhere", app("everywhere", "everywhere", map[string]any{"where": "engineering-prod of prod"})},
		"Matrix":        {"folders on clusters", "engineering-prod", "both-prometheus", "both", importertest.Manifests(t, at("cluster-addons/prometheus"), "manifest.yaml")},
		"MatrixNoMatch": {"and on no other", "engineering-dev", "both-prometheus", "both", nil},
		"MergeDev":      {"what the first generator says", "engineering-dev", "merged", "merged", app("merged-engineering-dev", "merged", map[string]any{"size": "small"})},
		"MergeProd":     {"what the second says over it", "engineering-prod", "merged", "merged", app("merged-engineering-prod", "merged", map[string]any{"size": "huge"})},
	})
	everywhere := world.File("bundles/everywhere/bundle.yaml")
	for _, want := range []string{"operator: In", "${{ cluster.name }} of ${{ cluster.labels[\"env\"] }}"} {
		if !strings.Contains(everywhere, want) {
			t.Errorf("%q is missing in\n%s", want, everywhere)
		}
	}
	if text := repo.Report.Markdown("Argo CD"); !strings.Contains(text, "pull-request.yaml:6 | ApplicationSet argocd/previews | generator pullRequest asks a service") {
		t.Error(text)
	}
	for _, name := range world.Bundles() {
		if strings.Contains(name, "skipped") && name != "both-skipped" || strings.Contains(name, "preview") {
			t.Errorf("bundle %s was written", name)
		}
	}
}

func TestJQPointer(t *testing.T) {
	cases := map[string]struct {
		reason, in, want string
		ok               bool
	}{
		"Plain":  {"a path", ".spec.replicas", "/spec/replicas", true},
		"Index":  {"an item of a list", ".spec.containers[0].image", "/spec/containers/0/image", true},
		"Quoted": {"a key with slashes", `.metadata.annotations["a.example.com/x"]`, "/metadata/annotations/a.example.com~1x", true},
		"Filter": {"more than a path", `.spec.containers[] | select(.name == "x")`, "", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got, ok := jqPointer(tc.in); got != tc.want || ok != tc.ok {
				t.Errorf("%s: %q, %v", tc.reason, got, ok)
			}
		})
	}
}

func TestGlobbed(t *testing.T) {
	cases := map[string]struct {
		reason, pattern, name string
		want                  bool
	}{
		"Star":    {"one folder", "apps/*", "apps/a", true},
		"Deeper":  {"and no further", "apps/*", "apps/a/b", false},
		"Double":  {"any number of folders", "settings/**/config.json", "settings/a/b/config.json", true},
		"None":    {"none among them", "settings/**/config.json", "settings/config.json", true},
		"Another": {"another file", "settings/**/config.json", "settings/a/other.json", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := globbed(tc.pattern, tc.name); got != tc.want {
				t.Errorf("%s: %v", tc.reason, got)
			}
		})
	}
}

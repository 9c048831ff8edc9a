package fleet

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

const examples = "testdata/examples"

func imported(t *testing.T) (*importer.Repo, *importertest.World) {
	t.Helper()
	repo, err := Import(t.Context(), Config{Tree: os.DirFS(examples), Now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	return repo, importertest.Read(t, repo)
}

// patched is what Fleet's overlays do to one object.
func patched(objects []map[string]any, change func(object map[string]any)) []map[string]any {
	for _, object := range objects {
		change(object)
	}
	return objects
}

func named(kind, name string, change func(spec map[string]any)) func(map[string]any) {
	return func(object map[string]any) {
		if object["kind"] == kind && object["metadata"].(map[string]any)["name"] == name {
			change(object["spec"].(map[string]any))
		}
	}
}

func TestRendersWhatFleetWould(t *testing.T) {
	_, world := imported(t)
	at := func(parts ...string) string { return filepath.Join(append([]string{examples}, parts...)...) }
	message := func(cluster, env string) map[string]any {
		return map[string]any{"message": "runs on " + cluster + " (" + env + ")"}
	}
	with := func(values map[string]any, more map[string]any) map[string]any { return importer.Merge(values, more) }
	cases := map[string]struct {
		reason    string
		cluster   string
		bundle    string
		namespace string
		want      []map[string]any
	}{
		"Simple": {"a folder without fleet.yaml is a bundle of manifests", "dev-1", "examples-simple", "default",
			importertest.Manifests(t, at("simple"), "frontend-deployment.yaml", "frontend-service.yaml", "redis-leader-deployment.yaml")},
		"Manifests": {"defaultNamespace is for objects that name none", "dev-1", "examples-single-cluster-manifests", "fleet-manifest-example",
			importertest.Manifests(t, at("single-cluster/manifests"), "frontend-deployment.yaml", "frontend-service.yaml")},
		"Kustomize": {"namespace goes over the one that an object names", "dev-1", "examples-single-cluster-kustomize", "fleet-kustomize-example",
			patched(importertest.Kustomize(t, at("single-cluster/kustomize")), func(o map[string]any) { delete(o["metadata"].(map[string]any), "namespace") })},
		"Helm": {"a chart beside fleet.yaml, with a values file", "dev-1", "examples-single-cluster-helm", "fleet-helm-example",
			importertest.Helm(t, at("single-cluster/helm"), "guestbook", "fleet-helm-example", map[string]any{"replicas": 2})},
		"HelmDev": {"a customization's values over the bundle's", "dev-1", "examples-multi-cluster-helm", "fleet-mc-helm-example",
			importertest.Helm(t, at("multi-cluster/helm"), "guestbook", "fleet-mc-helm-example", with(message("dev-1", "dev"), map[string]any{"replication": false}))},
		"HelmProd": {"of another cluster", "prod-1", "examples-multi-cluster-helm", "fleet-mc-helm-example",
			importertest.Helm(t, at("multi-cluster/helm"), "guestbook", "fleet-mc-helm-example",
				with(message("prod-1", "prod"), map[string]any{"serviceType": "LoadBalancer", "replicas": 3, "labels": map[string]any{"tier": "gold"}}))},
		"HelmKustomizeProd": {"patches behind a chart", "prod-1", "examples-multi-cluster-helm-kustomize", "fleet-mc-helm-kustomize-example",
			patched(patched(importertest.Helm(t, at("multi-cluster/helm-kustomize/chart"), "guestbook", "fleet-mc-helm-kustomize-example", nil),
				named("Deployment", "frontend", func(spec map[string]any) { spec["replicas"] = 3 })),
				named("Service", "frontend", func(spec map[string]any) { spec["type"] = "LoadBalancer" }))},
		"HelmKustomizeDev": {"as JSON 6902, too", "dev-1", "examples-multi-cluster-helm-kustomize", "fleet-mc-helm-kustomize-example",
			patched(importertest.Helm(t, at("multi-cluster/helm-kustomize/chart"), "guestbook", "fleet-mc-helm-kustomize-example", nil),
				named("Service", "frontend", func(spec map[string]any) { spec["sessionAffinity"] = "ClientIP" }))},
		"HelmKustomizeTest": {"a cluster that no customization matches gets the chart as it is", "test-1", "examples-multi-cluster-helm-kustomize", "fleet-mc-helm-kustomize-example",
			importertest.Helm(t, at("multi-cluster/helm-kustomize/chart"), "guestbook", "fleet-mc-helm-kustomize-example", nil)},
		"KustomizeDev": {"one overlay each", "dev-1", "examples-multi-cluster-kustomize", "fleet-mc-kustomize-example",
			importertest.Kustomize(t, at("multi-cluster/kustomize/overlays/dev"))},
		"KustomizeProd": {"with what it generates", "prod-1", "examples-multi-cluster-kustomize", "fleet-mc-kustomize-example",
			importertest.Kustomize(t, at("multi-cluster/kustomize/overlays/prod"))},
		"OverlayDev": {"file_patch.yaml patches file.yaml", "dev-1", "examples-multi-cluster-manifests", "fleet-mc-manifest-example",
			patched(importertest.Manifests(t, at("multi-cluster/manifests"), "frontend-deployment.yaml", "frontend-service.yaml", "redis-follower-service.yaml"),
				named("Service", "redis-follower", func(spec map[string]any) { spec["selector"].(map[string]any)["role"] = "leader" }))},
		"OverlayProd": {"a file of the same name replaces, and a new one is added", "prod-1", "examples-multi-cluster-manifests", "fleet-mc-manifest-example",
			patched(patched(append(importertest.Manifests(t, at("multi-cluster/manifests"), "frontend-deployment.yaml", "frontend-service.yaml"),
				importertest.Manifests(t, at("multi-cluster/manifests/overlays/extra"), "redis-follower-service.yaml", "redis-leader-deployment.yaml")...),
				named("Service", "frontend", func(spec map[string]any) { spec["type"] = "LoadBalancer" })),
				named("Deployment", "frontend", func(spec map[string]any) { spec["replicas"] = 3 }))},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := world.Render(t, world.Declared(t, tc.cluster), tc.bundle)
			if diff := cmp.Diff(importertest.Set(t, tc.namespace, tc.want), got); diff != "" {
				t.Errorf("%s\n%s\n%s", tc.reason, diff, world.File("bundles/"+tc.bundle+"/bundle.yaml"))
			}
		})
	}
}

func TestReport(t *testing.T) {
	repo, world := imported(t)
	text := repo.Report.Markdown("Rancher Fleet")
	for _, want := range []string{"| gitrepo.yaml:15 | GitRepo fleet-default/examples: spec.imageSyncInterval |", "| multi-cluster/helm/fleet.yaml:22 |", "rolloutStrategy",
		"multi-cluster/archive/fleet.yaml:3", "--local 'https://example.com/guestbook-0.0.0.tgz="} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	external := world.File("bundles/examples-multi-cluster-helm-external/bundle.yaml")
	for _, want := range []string{"repository: https://charts.example.com\n", "version: 6.4.0", "version: 6.5.0", "mode: Report"} {
		if !strings.Contains(external, want) {
			t.Errorf("%q is missing in\n%s", want, external)
		}
	}
	if helm := world.File("bundles/examples-single-cluster-helm/bundle.yaml"); !strings.Contains(helm, "bundle: examples-single-cluster-manifests") ||
		!strings.Contains(helm, "bundle: namespace-fleet-helm-example") || !strings.Contains(helm, "timeout: 2m0s") {
		t.Error(helm)
	}
	if plain := world.File("bundles/examples-single-cluster-manifests/bundle.yaml"); !strings.Contains(plain, "/spec/replicas") || strings.Contains(plain, "mode:") {
		t.Error(plain)
	}
}

func TestTranslate(t *testing.T) {
	cases := map[string]struct {
		reason, in, want string
		ok               bool
	}{
		"Name":     {"a fact in a text", "on ${ .ClusterName }!", "on ${{ cluster.name }}!", true},
		"Label":    {"a label by its name", "${ .ClusterLabels.env }", "${{ cluster.labels.env }}", true},
		"Indexed":  {"a label that is no identifier", `${ get .ClusterLabels "example.com/env" }`, `${{ cluster.labels["example.com/env"] }}`, true},
		"Value":    {"values are variables", "${ .ClusterValues.db.host }", "${{ cluster.variables.db.host }}", true},
		"Default":  {"a fallback", `${ .ClusterLabels.env | default "dev" }`, `${{ cluster.labels[?"env"].orValue("dev") }}`, true},
		"Plain":    {"text stays", "$HOME and {{ x }}", "$HOME and {{ x }}", true},
		"Ours":     {"what would be read as an expression here is kept from it", "${{ x }}", "$${{ x }}", true},
		"Too much": {"a function without an equal", "${ .ClusterLabels | toJson }", "${ .ClusterLabels | toJson }", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, ok := translate(tc.in)
			if ok != tc.ok || ok && got != tc.want {
				t.Errorf("%s: %q, %v", tc.reason, got, ok)
			}
		})
	}
}

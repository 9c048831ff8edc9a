package fleet

import (
	"testing"
	"testing/fstest"
	"time"

	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer/importertest"
)

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n"

func TestCustomizations(t *testing.T) {
	cases := map[string]struct {
		reason string
		files  map[string]string
		// bundle's file has each of these; those with ! it has not.
		bundle string
		want   []string
		report []string
	}{
		"DoNotDeployAfterOthers": {"a cluster that an earlier customization claims is not excluded", map[string]string{"app/fleet.yaml": `
targetCustomizations:
- {name: eu, clusterSelector: {matchLabels: {region: eu}}, yaml: {overlays: [eu]}}
- {name: lab, clusterSelector: {matchLabels: {env: lab}}, doNotDeploy: true}
`, "app/overlays/eu/settings_patch.yaml": "data: {a: eu}\n"}, "app", []string{"exclude:", "env: lab", `'!(("region" in cluster.labels && cluster.labels["region"] == "eu"))'`}, nil},
		"AllMatches": {"all that match are layered", map[string]string{"app/fleet.yaml": `
targetCustomizationMode: AllMatches
helm: {chart: ./chart, values: {a: 1}}
targetCustomizations:
- {name: eu, clusterSelector: {matchLabels: {region: eu}}, helm: {values: {b: 2}}}
- {name: prod, clusterName: prod-1, helm: {values: {c: 3}}}
`, "app/chart/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n", "app/chart/templates/c.yaml": configMap}, "app", []string{"overlays:", "name: eu", "b: 2", "clusterNames:", "- prod-1", "c: 3"}, nil},
		"List": {"what kubectl prints is read, without what the server adds", map[string]string{"app/fleet.yaml": "name: web\nlabels: {tier: front}\ndependsOn: [{selector: {matchLabels: {tier: back}}}]\n", "db/fleet.yaml": "labels: {tier: back}\npaused: true\n", "db/c.yaml": configMap,
			"repo.yaml": "apiVersion: v1\nkind: List\nitems:\n- apiVersion: fleet.cattle.io/v1alpha1\n  kind: GitRepo\n  metadata: {name: all, uid: x}\n  spec: {repo: x, paths: [app, db], targets: [{clusterName: one}], strange: 1}\n  status: {a: b}\n"},
			"web", []string{"bundle: all-db", "- one", "tier: front"}, []string{"repo.yaml:7 | GitRepo all: spec.strange", "!status", "!uid", "a suspension ends: 2027-01-30"}},
		"Ignored":   {"what .fleetignore names is no manifest", map[string]string{"app/fleet.yaml": "defaultNamespace: x\n", "app/.fleetignore": "# remarks\nskip.yaml\nold\n", "app/skip.yaml": "not: [a manifest", "app/old/x.yaml": "not: [one"}, "app", []string{"namespace: x"}, nil},
		"Templates": {"templates without a Chart.yaml are a chart", map[string]string{"app/fleet.yaml": "helm: {values: {a: 'on ${ .ClusterLabels | toJson }'}}\n", "app/templates/c.yaml": configMap}, "app", []string{"chart: chart"}, []string{"app/fleet.yaml:1", "toJson"}},
		"Group":     {"a group that nobody declares gets a label", map[string]string{"app/fleet.yaml": "overrideTargets: [{clusterGroup: blue}]\n"}, "app", []string{"clusterGroup: blue"}, []string{"cluster-group=blue"}},
		"Diff": {"drift that is ignored", map[string]string{"app/fleet.yaml": "diff:\n  comparePatches:\n  - {apiVersion: apps/v1, kind: Deployment, name: 'web-.*', jsonPointers: [/spec/replicas]}\n  - {kind: ConfigMap, operations: [{op: ignore}]}\n"}, "app",
			[]string{"group: apps", "name: web-*", "/spec/replicas"}, []string{"app/fleet.yaml:4", "operation ignore"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{"app/settings.yaml": {Data: []byte(configMap)}}
			for file, text := range tc.files {
				files[file] = &fstest.MapFile{Data: []byte(text)}
			}
			repo, err := Import(t.Context(), Config{Tree: files, Now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
			if err != nil {
				t.Fatal(err)
			}
			importertest.Expect(t, tc.reason, importertest.Read(t, repo).File("bundles/"+tc.bundle+"/bundle.yaml"), tc.want)
			importertest.Expect(t, tc.reason, repo.Report.Markdown("Fleet"), tc.report)
		})
	}
}

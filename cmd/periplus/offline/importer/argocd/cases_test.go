package argocd

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer/importertest"
)

const (
	chart  = "apiVersion: v2\nname: app\nversion: 1.0.0\n"
	config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {a: {{ .Values.a | quote }}}\n"
	plain  = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {a: b}\n"
)

func set(generators, template string) string {
	return "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: set}\nspec:\n  goTemplate: true\n  generators:\n" + generators + "  template:\n" + template
}

func TestApplications(t *testing.T) {
	const application = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: one}\nspec:\n  project: default\n  destination: {server: https://10.0.0.1:6443, namespace: x}\n"
	cases := map[string]struct {
		reason string
		files  map[string]string
		bundle string
		want   []string
		report []string
	}{
		"SymbolicClusters": {"without cluster Secrets, facts become expressions", map[string]string{"set.yaml": set("  - clusters: {selector: {matchLabels: {env: prod}}}\n",
			"    metadata: {name: 'app-{{.name}}'}\n    spec:\n      project: default\n      source: {repoURL: x, path: chart, helm: {releaseName: app, parameters: [{name: a, value: '{{ index .metadata.labels \"example.com/zone\" }}'}]}}\n      destination: {name: '{{.name}}', namespace: 'team-{{.metadata.labels.team}}'}\n"),
			"chart/Chart.yaml": chart, "chart/templates/c.yaml": config}, "set",
			[]string{"env: prod", `a: ${{ cluster.labels["example.com/zone"] }}`, `namespace: team-${{ cluster.labels["team"] }}`, "releaseName: app"}, nil},
		"PathOfCluster": {"a path that names the cluster needs to know the clusters", map[string]string{"set.yaml": set("  - clusters: {}\n",
			"    metadata: {name: 'app-{{.name}}'}\n    spec:\n      project: default\n      source: {repoURL: x, path: 'overlays/{{.name}}'}\n      destination: {server: '{{.server}}', namespace: x}\n"), "app.yaml": application + "  source: {repoURL: x, path: plain}\n", "plain/a.yaml": plain}, "one",
			[]string{"- 10-0-0-1"}, []string{"put the cluster Secrets", "set.yaml:8"}},
		"TemplatePatch": {"a patch over the template", map[string]string{"set.yaml": set("  - list: {elements: [{name: one, replicas: 3}]}\n",
			"    metadata: {name: '{{.name}}'}\n    spec:\n      project: default\n      source: {repoURL: x, path: chart}\n      destination: {name: '{{.name}}', namespace: x}\n") + "  templatePatch: |\n    spec:\n      source: {helm: {valuesObject: {a: '{{ .replicas }}'}}}\n",
			"chart/Chart.yaml": chart, "chart/templates/c.yaml": config}, "set", []string{`a: "3"`}, nil},
		"Jsonnet": {"one Jsonnet file is a program", map[string]string{"app.yaml": application + "  source: {repoURL: x, path: j, directory: {jsonnet: {tlas: [{name: a, value: '3', code: true}, {name: b, value: '3'}]}}}\n",
			"j/main.jsonnet": "function(a, b) {apiVersion: 'v1', kind: 'ConfigMap', metadata: {name: b}}", "j/lib.libsonnet": "{}"}, "one", []string{"path: main.jsonnet", "valuesAs: TLAs", "a: 3", `b: "3"`}, nil},
		"Plugin": {"a plugin is reported", map[string]string{"app.yaml": application + "  source: {repoURL: x, path: plain, plugin: {name: y}}\n", "plain/a.yaml": plain}, "", nil, []string{"app.yaml:7", "config management plugin"}},
		"Elsewhere": {"a repository that is not here is reported", map[string]string{"app.yaml": application + "  source: {repoURL: https://example.com/other, path: nowhere}\n"}, "", nil,
			[]string{"app.yaml:7", "--local https://example.com/other="}},
		"UnnamedChart": {"a chart of applications is read although no Application names it", map[string]string{"apps/Chart.yaml": chart, "apps/values.yaml": "a: plain\n", "apps/templates/app.yaml": application + "  source: {repoURL: x, path: {{ .Values.a }}}\n", "plain/a.yaml": plain}, "one",
			[]string{"namespace: x"}, []string{"apps/Chart.yaml", "rendered with its own values"}},
		"Broken": {"content that cannot be read stops its own bundle only", map[string]string{"app.yaml": application + "  source: {repoURL: x, path: plain}\n---\n" + strings.Replace(application, "one", "two", 1) + "  source: {repoURL: x, path: broken}\n---\n" + strings.Replace(application, "one", "three", 1) + "  source: {repoURL: 3}\n", "plain/a.yaml": plain, "broken/b.yaml": "a: [b"}, "one",
			[]string{"namespace: x"}, []string{"Application two", "broken/b.yaml", "Application three cannot be read"}},
		"Directory": {"what a directory leaves out", map[string]string{"app.yaml": application + "  source: {repoURL: x, path: plain, directory: {recurse: true, exclude: '{skip.yaml,old/*}'}}\n", "plain/a.yaml": plain, "plain/skip.yaml": "no: [t", "plain/old/b.yaml": "no: [t",
			"plain/more/c.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n"}, "one", []string{"namespace: x"}, []string{"!skip"}},
		"OCI": {"a registry without a scheme", map[string]string{"app.yaml": application + "  source: {repoURL: registry.example.com/charts, chart: web, targetRevision: 1.2.3, helm: {skipCrds: true, version: v3}}\n"}, "one",
			[]string{"oci: oci://registry.example.com/charts/web", "version: 1.2.3", "skipCRDs: true"}, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{}
			for file, text := range tc.files {
				files[file] = &fstest.MapFile{Data: []byte(text)}
			}
			repo, err := Import(t.Context(), Config{Tree: files})
			if err != nil {
				t.Fatal(err)
			}
			world := importertest.Read(t, repo)
			if tc.bundle == "" && len(world.Bundles()) > 0 {
				t.Errorf("%s: %v", tc.reason, world.Bundles())
			}
			importertest.Expect(t, tc.reason, world.File("bundles/"+tc.bundle+"/bundle.yaml"), tc.want)
			importertest.Expect(t, tc.reason, repo.Report.Markdown("Argo CD"), tc.report)
		})
	}
}

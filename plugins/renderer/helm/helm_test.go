package helm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/plugins/renderer/helm"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

const chartYAML = "apiVersion: v2\nname: shop\nversion: 1.2.3\n"

// files of a chart in bundles/shop/chart, over a Chart.yaml.
func files(more map[string]string) fstest.MapFS {
	out := fstest.MapFS{"bundles/shop/chart/Chart.yaml": {Data: []byte(chartYAML)}}
	for name, text := range more {
		if !strings.HasPrefix(name, "/") {
			name = "/chart/" + name
		}
		out["bundles/shop"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func request(files fs.FS) renderer.Request {
	return renderer.Request{FS: files, Dir: "bundles/shop", Path: "chart", ReleaseName: "shop", Namespace: "shop",
		Capabilities: renderer.Capabilities{KubeVersion: "v1.36.3"}}
}

func render(t *testing.T, request renderer.Request) (renderer.Result, error) {
	t.Helper()
	return helm.New().Render(t.Context(), request)
}

func must(t *testing.T, request renderer.Request) renderer.Result {
	t.Helper()
	result, err := render(t, request)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// configMap with one field.
func configMap(data string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: " + data + "\n"
}

func dataOf(t *testing.T, result renderer.Result) any {
	t.Helper()
	if len(result.Objects) != 1 {
		t.Fatalf("want one object, got %v", result.Objects)
	}
	data, _ := result.Objects[0].Value["data"].(map[string]any)
	return data["x"]
}

func TestValues(t *testing.T) {
	cases := map[string]struct {
		reason string
		files  map[string]string
		change func(*renderer.Request)
		want   any
	}{
		"Layers": {reason: "later values files are over earlier ones, the request's values over all, maps merge",
			files: map[string]string{"values.yaml": "m: {a: 1, b: 1, c: 1, d: 1}", "/one.yaml": "m: {b: 2, c: 2, d: 2}", "/two.yaml": "m: {c: 3, d: 3}",
				"templates/a.yaml": configMap(`"{{ .Values.m.a }}{{ .Values.m.b }}{{ .Values.m.c }}{{ .Values.m.d }}"`)},
			change: func(r *renderer.Request) {
				r.ValuesFiles, r.Values = []string{"one.yaml", "two.yaml"}, map[string]any{"m": map[string]any{"d": int64(4)}}
			}, want: "1234"},
		"NullUnsets": {reason: "null takes a chart's default away",
			files: map[string]string{"values.yaml": "m: {a: 1}", "templates/a.yaml": configMap(`"{{ hasKey .Values.m "a" }}"`)},
			change: func(r *renderer.Request) {
				r.Values = map[string]any{"m": map[string]any{"a": nil}}
			}, want: "false"},
		"NumbersAsInFiles": {reason: "charts are written for numbers as a values file gives them",
			files:  map[string]string{"templates/a.yaml": configMap(`"{{ kindOf .Values.n }} {{ .Values.n }}"`)},
			change: func(r *renderer.Request) { r.Values = map[string]any{"n": int64(8080)} }, want: "float64 8080"},
		"WritesStayInside": {reason: "a template that writes into its values does not change those of the caller",
			files:  map[string]string{"templates/a.yaml": configMap(`"{{ $_ := set .Values.m "a" 5 }}{{ .Values.m.a }}"`)},
			change: func(r *renderer.Request) { r.Values = map[string]any{"m": map[string]any{"a": int64(1)}} }, want: "5"},
		"LookupIsEmpty": {reason: "there is no cluster to look into",
			files: map[string]string{"templates/a.yaml": configMap(`"{{ lookup "v1" "Secret" "" "x" | toJson }}"`)}, want: "{}"},
		"Release": {reason: "what a chart knows of its release is always the same",
			files: map[string]string{"templates/a.yaml": configMap(`"{{ .Release.Name }} {{ .Release.Namespace }} {{ .Release.IsInstall }} {{ .Release.IsUpgrade }} {{ .Release.Revision }}"`)},
			want:  "shop shop true false 1"},
		"Environment": {reason: "nothing of the hub's own leaks into a chart",
			files: map[string]string{"templates/a.yaml": configMap(`"{{ getHostByName "localhost" }}"`)}, want: ""},
		"OldYAML": {reason: "output means what it means to Helm and kubectl",
			files: map[string]string{"templates/a.yaml": configMap("yes")}, want: true},
		"LastKeyCounts": {reason: "charts write keys twice, and Helm takes it",
			files: map[string]string{"templates/a.yaml": configMap("one\n  x: two")}, want: "two"},
		"WholeNumbers": {reason: "a number that YAML writes with an exponent is the number",
			files: map[string]string{"templates/a.yaml": configMap("1e+06")}, want: int64(1000000)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			request := request(files(tc.files))
			if tc.change != nil {
				tc.change(&request)
			}
			before, _ := json.Marshal(request.Values)
			if diff := cmp.Diff(tc.want, dataOf(t, must(t, request))); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
			if after, _ := json.Marshal(request.Values); string(after) != string(before) {
				t.Errorf("%s: the caller's values changed from %s to %s", tc.reason, before, after)
			}
		})
	}
}

func TestUsed(t *testing.T) {
	cases := map[string]struct {
		reason, template string
		chart            string
		want             renderer.Used
	}{
		"Nothing":    {reason: "all clusters share the output", template: "1"},
		"Version":    {reason: "asked for in any way", template: `{{ semverCompare ">=1.30" .Capabilities.KubeVersion.Version }}`, want: renderer.Used{KubeVersion: true}},
		"Constraint": {reason: "whether the chart may be used at all depends on the version", template: "1", chart: "kubeVersion: '>=1.20-0'\n", want: renderer.Used{KubeVersion: true}},
		"Has": {reason: "only these answers matter, in order", template: `{{ .Capabilities.APIVersions.Has "z/v1" }} {{ .Capabilities.APIVersions.Has "apps/v1" }}`,
			want: renderer.Used{APIVersions: []string{"apps/v1", "z/v1"}}},
		"HasOfTpl":   {reason: "templates in values ask as well", template: `{{ tpl "{{ .Capabilities.APIVersions.Has \"z/v1\" }}" . }}`, want: renderer.Used{APIVersions: []string{"z/v1"}}},
		"Unreached":  {reason: "what a chart could have asked does not count", template: `{{ if false }}{{ .Capabilities.KubeVersion }}{{ end }}`},
		"Range":      {reason: "the whole list was read", template: `{{ range .Capabilities.APIVersions }}{{ end }}`, want: renderer.Used{AllAPIVersions: true}},
		"Function":   {reason: "a function that gets the list reads it", template: `{{ has "v1" .Capabilities.APIVersions }}`, want: renderer.Used{AllAPIVersions: true}},
		"RangeByTpl": {reason: "the whole list was read, though no template says so", template: `{{ tpl (print "{{ range .Capabilities.API" "Versions }}{{ end }}") . }}`, want: renderer.Used{AllAPIVersions: true}},
		"Variable": {reason: "who keeps the list may do anything with it", template: `{{ $v := .Capabilities.APIVersions }}{{ $v.Has "v1" }}{{ range $v }}{{ end }}`,
			want: renderer.Used{APIVersions: []string{"v1"}, AllAPIVersions: true}},
		"Copied": {reason: "a copy of the context is still watched", template: `{{ $c := deepCopy . }}{{ $c.Capabilities.KubeVersion.Minor }} {{ $c.Capabilities.APIVersions.Has "v1" }}`,
			want: renderer.Used{KubeVersion: true, APIVersions: []string{"v1"}}},
		"Encoded": {reason: "the whole context as text holds everything", template: `"{{ toJson . | len }}"`, want: renderer.Used{KubeVersion: true, AllAPIVersions: true}},
		"Printed": {reason: "as text too", template: `"{{ print .Capabilities | len }}"`, want: renderer.Used{KubeVersion: true, AllAPIVersions: true}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tree := files(map[string]string{"templates/a.yaml": configMap(tc.template)})
			tree["bundles/shop/chart/Chart.yaml"].Data = []byte(chartYAML + tc.chart)
			if diff := cmp.Diff(tc.want, must(t, request(tree)).Used); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestCapabilities(t *testing.T) {
	all := `"{{ .Capabilities.KubeVersion }} {{ .Capabilities.KubeVersion.GitVersion }} {{ .Capabilities.KubeVersion.Major }}.{{ .Capabilities.KubeVersion.Minor }} {{ .Capabilities.HelmVersion.Version }}` +
		` {{ .Capabilities.APIVersions.Has "apps/v1" }} {{ .Capabilities.APIVersions.Has "example.com/v1" }} {{ join "," (slice .Capabilities.APIVersions 0 1) }} {{ .Capabilities.APIVersions.Has "networking.k8s.io/v1/Ingress" }}"`
	cases := map[string]struct {
		reason string
		given  renderer.Capabilities
		want   string
	}{
		"Default": {reason: "a cluster that never reported what it serves has what its version has built in",
			given: renderer.Capabilities{KubeVersion: "v1.36.3-gke.1"}, want: "v1.36.3 v1.36.3-gke.1 1.36 v4.2.4 true false admissionregistration.k8s.io/v1 true"},
		"Given": {reason: "a cluster serves what it reported", given: renderer.Capabilities{KubeVersion: "v1.36.3", APIVersions: []string{"example.com/v1", "example.com/v1/Thing"}},
			want: "v1.36.3 v1.36.3 1.36 v4.2.4 false true example.com/v1 false"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			request := request(files(map[string]string{"templates/a.yaml": configMap(all)}))
			request.Capabilities = tc.given
			if diff := cmp.Diff(any(tc.want), dataOf(t, must(t, request))); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestHooks(t *testing.T) {
	hook := func(events ...string) *content.Hook {
		return &content.Hook{Events: events, DeletePolicies: []string{content.HookBeforeCreation}}
	}
	cases := map[string]struct {
		reason, annotations string
		config              map[string]any
		want                []*content.Hook
		refused             string
	}{
		"None":   {reason: "an object without the annotation is simply applied", annotations: "{}", want: []*content.Hook{nil}},
		"Events": {reason: "in one order, whatever the chart's", annotations: `{helm.sh/hook: "pre-upgrade, Pre-Install"}`, want: []*content.Hook{hook("pre-install", "pre-upgrade")}},
		"Full": {reason: "weight and deletion as the chart says", annotations: `{helm.sh/hook: post-install, helm.sh/hook-weight: "-5", helm.sh/hook-delete-policy: "hook-succeeded,before-hook-creation"}`,
			want: []*content.Hook{{Events: []string{"post-install"}, Weight: -5, DeletePolicies: []string{"before-hook-creation", "hook-succeeded"}}}},
		"Tests":           {reason: "tests run only where they are asked for", annotations: "{helm.sh/hook: test}"},
		"TestsAsked":      {reason: "tests run where they are asked for", annotations: "{helm.sh/hook: test-success}", config: map[string]any{"tests": true}, want: []*content.Hook{hook("test")}},
		"TestAmongOthers": {reason: "the rest of the hook stays", annotations: `{helm.sh/hook: "test,post-install"}`, want: []*content.Hook{hook("post-install")}},
		"Past":            {reason: "Helm leaves out what Helm 2 knew", annotations: "{helm.sh/hook: crd-install}"},
		"Unknown": {reason: "a typing mistake must not lose an object", annotations: "{helm.sh/hook: pre-instal}",
			refused: `bundles/shop/chart/templates/a.yaml: ConfigMap a: annotation helm.sh/hook: there is no event "pre-instal"`},
		"UnknownPolicy": {reason: "nor leave one behind", annotations: "{helm.sh/hook: test, helm.sh/hook-delete-policy: success}", config: map[string]any{"tests": true},
			refused: `there is no policy "success"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			request := request(files(map[string]string{"templates/a.yaml": "kind: ConfigMap\nmetadata: {name: a, annotations: " + tc.annotations + "}\n"}))
			request.Config = tc.config
			result, err := render(t, request)
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) {
					t.Errorf("%s: got %v, want %q", tc.reason, err, tc.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []*content.Hook
			for _, object := range result.Objects {
				got = append(got, object.Hook)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	const template = "bundles/shop/chart/templates/a.yaml"
	schema := `{"type": "object", "properties": {"count": {"type": "integer"}, "password": {"type": "string", "pattern": "^x"}}, "required": ["host"]}`
	cases := map[string]struct {
		reason string
		files  map[string]string
		chart  string
		want   string
		not    string
	}{
		"NoChart": {reason: "the path leads nowhere", files: map[string]string{"Chart.yaml": ""}, want: "bundles/shop/chart"},
		"Parse":   {reason: "where the template cannot be parsed", files: map[string]string{"templates/a.yaml": "a: 1\nb: {{ if }}\n"}, want: template + ":2: "},
		"Execute": {reason: "where it fails", files: map[string]string{"templates/a.yaml": "a: 1\n\nb: {{ .Values.a.b.c }}\n"}, want: template + ":3: <.Values.a.b.c>: nil pointer"},
		"Helper": {reason: "where the mistake is, and who led there", files: map[string]string{"templates/_h.tpl": "{{ define \"h\" }}\n{{ index .Values.list 3 }}{{ end }}",
			"templates/a.yaml": "a: {{ include \"h\" . }}\n", "values.yaml": "list: []"}, want: "bundles/shop/chart/templates/_h.tpl:2: <index .Values.list 3>: error calling index: index out of range: 3 (from " + template + ":1)"},
		"Required": {reason: "the chart's own words", files: map[string]string{"templates/a.yaml": "a: {{ required \"set .Values.host:\\n  host: x\" .Values.host }}\n"},
			want: template + ":1: set .Values.host: host: x"},
		"Output": {reason: "the line of the output, which nobody has, is shown by its key",
			files: map[string]string{"templates/a.yaml": "kind: A\nmetadata: {name: a}\n---\nkind: B\n  password: {{ \"hunter2\" }}\n"},
			want:  template + `: line 5 of its output, "password:": `, not: "hunter2"},
		"NoMapping": {reason: "a manifest is a mapping", files: map[string]string{"templates/a.yaml": "- a\n"}, want: template + ": line 1 of its output: a manifest is a mapping"},
		"Schema": {reason: "every mistake in the values, none of the values", files: map[string]string{"values.schema.json": schema, "values.yaml": "count: x\npassword: hunter2\n"},
			want: `bundles/shop/chart/values.schema.json: the values do not meet values.schema.json of chart "shop": at /count: got string, want integer; at /password: does not match pattern "^x"; at the root: missing property 'host'`,
			not:  "hunter2"},
		"SchemaOfFile": {reason: "a schema cannot make the hub read its files", files: map[string]string{"values.schema.json": `{"$ref": "file:///etc/passwd"}`},
			want: "it refers to file:///etc/passwd", not: "root:x"},
		"SchemaOfServer": {reason: "nor ask other servers", files: map[string]string{"values.schema.json": `{"$ref": "http://127.0.0.1:1/x.json"}`}, want: "it refers to http://127.0.0.1:1/x.json"},
		"Version":        {reason: "the cluster is too old", chart: "kubeVersion: '>=1.99'\n", want: "Chart.yaml: kubeVersion: the chart needs Kubernetes >=1.99, the cluster has v1.36.3"},
		"Library":        {reason: "there is nothing to apply", chart: "type: library\n", want: "Chart.yaml: a library chart has no objects of its own"},
		"Dependency":     {reason: "it says what to do", chart: "dependencies: [{name: db, version: 1.x, repository: https://example.com}]\n", want: "Chart.yaml: dependency \"db\" is not in charts/: run `helm dependency update`"},
		"ValuesFile":     {reason: "the line of the values file", files: map[string]string{"/prod.yaml": "a: 1\nb: [\n"}, want: "bundles/shop/prod.yaml:"},
		"SealedValues":   {reason: "it says what to do", files: map[string]string{"/prod.yaml": "a: ENC[]\nsops: {}\n"}, want: "bundles/shop/prod.yaml: the values are encrypted with SOPS: set spec.decrypt: hub"},
		"SealedOutput":   {reason: "it says what to do", files: map[string]string{"templates/a.yaml": "kind: Secret\nsops: {}\n"}, want: template + ": the output is encrypted with SOPS"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tree := files(tc.files)
			if tc.chart != "" {
				tree["bundles/shop/chart/Chart.yaml"].Data = []byte(chartYAML + tc.chart)
			}
			request := request(tree)
			if _, ok := tc.files["/prod.yaml"]; ok {
				request.ValuesFiles = []string{"prod.yaml"}
			}
			_, err := render(t, request)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%s:\n got %v\nwant %s", tc.reason, err, tc.want)
			}
			if tc.not != "" && strings.Contains(err.Error(), tc.not) {
				t.Errorf("%s: %q shows %q", tc.reason, err, tc.not)
			}
		})
	}
}

// counting counts what is read.
type counting struct {
	fs.FS
	reads *int
}

func (c counting) Open(name string) (fs.File, error) { *c.reads++; return c.FS.Open(name) }

func TestChartsAreReadOnce(t *testing.T) {
	reads := 0
	one := request(counting{files(map[string]string{"templates/a.yaml": configMap("{{ .Values.n }}"), "values.yaml": "n: 0"}), &reads})
	one.ContentID = "tree"
	r := helm.New()
	for i := range 5 {
		one.Values = map[string]any{"n": int64(i)}
		result, err := r.Render(t.Context(), one)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(any(int64(i)), dataOf(t, result)); diff != "" {
			t.Errorf("a kept chart takes new values: -want +got:\n%s", diff)
		}
		if i > 0 && reads > 0 {
			t.Errorf("rendering %d read %d files again", i, reads)
		}
		reads = 0
	}
	other := one
	other.ContentID = "other"
	other.FS = files(map[string]string{"templates/a.yaml": configMap("changed")})
	result, err := r.Render(t.Context(), other)
	if err != nil || dataOf(t, result) != "changed" {
		t.Errorf("another content is another chart: got %v, %v", result, err)
	}
}

func TestFetchedChart(t *testing.T) {
	fetched := fstest.MapFS{"Chart.yaml": {Data: []byte(chartYAML)}, "templates/a.yaml": {Data: []byte(configMap("1"))},
		".helmignore": {Data: []byte("templates/\n")}, "crds/a.yaml": {Data: []byte("kind: CustomResourceDefinition\nmetadata: {name: things.example.com}\n")}}
	one := renderer.Request{FS: files(nil), Dir: "bundles/shop", Chart: fetched, ChartID: "abc", ReleaseName: "shop", Capabilities: renderer.Capabilities{KubeVersion: "v1.36.3"}}
	var sources []string
	for _, object := range must(t, one).Objects {
		sources = append(sources, object.Source)
	}
	if diff := cmp.Diff([]string{"shop@1.2.3/crds/a.yaml", "shop@1.2.3/templates/a.yaml"}, sources); diff != "" {
		t.Errorf("files of a fetched chart are called by its name and version, CRDs come first: -want +got:\n%s", diff)
	}
	one.Config = map[string]any{"skipCRDs": true}
	if got := must(t, one).Objects; len(got) != 1 {
		t.Errorf("skipCRDs leaves CRDs out: got %v", got)
	}
	one.Path = "chart"
	fetched[".helmignore"].Data = []byte("crds/\n")
	if got := must(t, one).Objects; got[0].Source != "bundles/shop/chart/templates/a.yaml" {
		t.Errorf("a chart beside the bundle with added dependencies is called by its own path: got %v", got)
	}
}

func TestLinksInAChart(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{"app/Chart.yaml": chartYAML, "shared/a.yaml": configMap("shared")} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, at string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(root, at)); err != nil {
			t.Fatal(err)
		}
	}
	one := renderer.Request{FS: os.DirFS(root), Dir: "app", Capabilities: renderer.Capabilities{KubeVersion: "v1.36.3"}}
	link("../shared", "app/templates")
	if got := dataOf(t, must(t, one)); got != "shared" {
		t.Errorf("a link to a folder is followed: got %v", got)
	}
	link("..", "app/loop")
	if _, err := render(t, one); err == nil || !strings.Contains(err.Error(), "is there a symbolic link to a folder above it?") {
		t.Errorf("links in a circle end: got %v", err)
	}
}

func TestOutputIsTheSame(t *testing.T) {
	dependency := func(name, version string) map[string]string {
		folder := "charts/" + name + version + "/"
		return map[string]string{folder + "Chart.yaml": fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\n", name, version),
			folder + "crds/x.yaml":      fmt.Sprintf("kind: CustomResourceDefinition\nmetadata: {name: %s-%s}\n", name, version),
			folder + "templates/x.yaml": "kind: ConfigMap\nmetadata: {name: {{ .Chart.Name }}-{{ .Chart.Version }}}\n"}
	}
	all := map[string]string{}
	for _, one := range []map[string]string{dependency("b", "1.0.0"), dependency("a", "1.0.0"), dependency("a", "1.1.0"), dependency("c", "1.0.0")} {
		for name, text := range one {
			all[name] = text
		}
	}
	tree := files(all)
	tree["bundles/shop/chart/Chart.yaml"].Data = []byte(chartYAML + "dependencies: [{name: a, version: 1.x, alias: one}, {name: a, version: 1.x, alias: two}]\n")
	var first string
	for i := range 100 {
		result := must(t, request(tree))
		data, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(data)
		}
		if diff := cmp.Diff(first, string(data)); diff != "" {
			t.Fatalf("rendering %d differs: %s", i, diff)
		}
	}
}

func TestEndsWithItsCaller(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := helm.New().Render(ctx, request(files(nil))); err == nil {
		t.Error("a rendering that nobody waits for goes on")
	}
}

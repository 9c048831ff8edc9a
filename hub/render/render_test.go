package render

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// memory is a tree in memory.
type memory struct{ fstest.MapFS }

func newMemory(files map[string]string) memory {
	tree := memory{fstest.MapFS{}}
	for name, text := range files {
		tree.MapFS[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return tree
}

func (memory) Commit() string { return strings.Repeat("c", 40) }

func (m memory) Hash(name string) (string, error) {
	hash := sha1.New()
	err := fs.WalkDir(m.MapFS, name, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			fmt.Fprintf(hash, "%s %s\n", file, m.MapFS[file].Data)
		}
		return err
	})
	return hex.EncodeToString(hash.Sum(nil)), err
}

func input(files map[string]string, inputs target.Inputs) Input {
	return Input{Tree: newMemory(files), Inputs: inputs, Bundle: fleet.BundleDecl{Key: "fleet/app", Path: "bundles/app", File: "bundles/app/bundle.yaml", Line: 1}}
}

func render(t *testing.T, in Input) (*Variant, error) {
	t.Helper()
	r, err := New(Config{SecretKey: []byte("key")})
	if err != nil {
		t.Fatal(err)
	}
	return r.Render(t.Context(), in)
}

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  template: {spec: {containers: [{name: a, image: x}, {name: b, image: "y"}]}}
status: {replicas: 7}
`

func TestRenderPost(t *testing.T) {
	deploymentMatch := v1alpha1.ObjectMatch{Kind: "Deployment"}
	cases := map[string]struct {
		reason string
		inputs target.Inputs
		want   string
	}{
		"Bare": {
			reason: "Status is dropped, keys are sorted, numbers stay whole.",
			want:   `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":2,"template":{"spec":{"containers":[{"image":"x","name":"a"},{"image":"y","name":"b"}]}}}}`,
		},
		"All": {
			reason: "Labels, a strategic merge by container name, JSON 6902 and values by pointer come in this order.",
			inputs: target.Inputs{
				Labels: map[string]string{"team": "a"},
				Patches: []v1alpha1.Patch{
					{Target: &deploymentMatch, Patch: "spec: {template: {spec: {containers: [{name: b, image: z}]}}}"},
					{Target: &deploymentMatch, Patch: `[{"op":"replace","path":"/spec/replicas","value":3}]`},
				},
				Set: []target.Set{{Target: deploymentMatch, Pointer: "/metadata/annotations/example.com~1x", Value: "1", Field: "spec.set[0]"},
					{Target: v1alpha1.ObjectMatch{Name: "w*"}, Pointer: "/spec/template/spec/containers/0/image", Value: "set", Field: "spec.set[1]"}},
			},
			want: `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"annotations":{"example.com/x":"1"},"labels":{"team":"a"},"name":"web"},"spec":{"replicas":3,"template":{"spec":{"containers":[{"image":"set","name":"a"},{"image":"z","name":"b"}]}}}}`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			variant, err := render(t, input(map[string]string{"bundles/app/d.yaml": deployment}, tc.inputs))
			if err != nil {
				t.Fatal(err)
			}
			if len(variant.Manifest.Items) != 1 {
				t.Fatalf("want one object, got %+v", variant.Manifest.Items)
			}
			got := string(variant.Blobs[variant.Manifest.Items[0].Digest])
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
}

func TestRenderRefuses(t *testing.T) {
	config := func(rest string) string { return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x" + rest + "}\n" }
	cases := map[string]struct {
		reason string
		file   string
		inputs target.Inputs
		line   int
	}{
		"Nothing":        {reason: "An empty bundle would take everything off.", file: "# empty\n"},
		"NoName":         {reason: "A name is required.", file: "apiVersion: v1\nkind: ConfigMap\n", line: 1},
		"GenerateName":   {reason: "Each apply would make another object.", file: "apiVersion: v1\nkind: Job\nmetadata: {generateName: x-}\n", line: 1},
		"Duplicate":      {reason: "The second of two is named.", file: config("") + "---\n" + config(""), line: 5},
		"SameByDefault":  {reason: "The default namespace makes two objects one.", file: config("") + "---\n" + config(", namespace: apps"), inputs: target.Inputs{Namespace: "apps"}, line: 5},
		"Hook":           {reason: "Hooks are refused.", file: config(", annotations: {helm.sh/hook: test}"), line: 1},
		"OurLabel":       {reason: "Our labels belong to the agent.", file: config(", labels: {fleet.periplus.dev/managed: 'true'}"), line: 1},
		"NumberLabel":    {reason: "Labels are strings.", file: config(", labels: {a: 1}"), line: 1},
		"UID":            {reason: "What a cluster set is no declaration.", file: config(", uid: abc"), line: 1},
		"SealedName":     {reason: "What names an object is in the clear.", file: "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\n  namespace: ENC[AES256_GCM,data:x]\nsops: {mac: x}\n", line: 1},
		"Kustomization":  {reason: "A kustomization is no object.", file: "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nmetadata: {name: x}\n", line: 1},
		"PatchNoMatch":   {reason: "A patch that changes nothing is a mistake.", file: config(""), inputs: target.Inputs{Patches: []v1alpha1.Patch{{Target: &v1alpha1.ObjectMatch{Kind: "X"}, Patch: "a: 1"}}}, line: 1},
		"PatchRenames":   {reason: "A patch cannot change the identity.", file: config(""), inputs: target.Inputs{Patches: []v1alpha1.Patch{{Target: &v1alpha1.ObjectMatch{}, Patch: `[{"op":"replace","path":"/metadata/name","value":"y"}]`}}}, line: 1},
		"SetNoMatch":     {reason: "A value without object is a mistake.", file: config(""), inputs: target.Inputs{Set: []target.Set{{Target: v1alpha1.ObjectMatch{Kind: "X"}, Pointer: "/a", Value: "b", Field: "spec.set[0]"}}}, line: 1},
		"SetBelowScalar": {reason: "A pointer cannot go below a plain value.", file: config(""), inputs: target.Inputs{Set: []target.Set{{Pointer: "/kind/x", Value: "b", Field: "spec.set[0]"}}}, line: 1},
		"Values":         {reason: "Plain manifests take no values.", file: config(""), inputs: target.Inputs{Values: map[string]any{"a": "b"}}, line: 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := render(t, input(map[string]string{"bundles/app/a.yaml": tc.file}, tc.inputs))
			if err == nil {
				t.Fatal(tc.reason)
			}
			var refused *renderer.Error
			if errors.As(err, &refused); tc.line > 0 && (refused == nil || refused.Line != tc.line) {
				t.Errorf("%s\nwant line %d, got %v", tc.reason, tc.line, err)
			}
		})
	}
}

func TestRenderSecret(t *testing.T) {
	variant, err := render(t, input(map[string]string{"bundles/app/a.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {a: b}\n" +
		"---\napiVersion: v1\nkind: Namespace\nmetadata: {name: n}\n"}, target.Inputs{}))
	if err != nil {
		t.Fatal(err)
	}
	objects, err := variant.Objects()
	if err != nil {
		t.Fatal(err)
	}
	if !variant.Manifest.Items[1].Digest.Secret() || variant.Manifest.Items[0].Kind != "Namespace" || objects[1].Value["kind"] != "Secret" {
		t.Errorf("want a namespace, then a Secret that is named by HMAC: %+v", variant.Manifest.Items)
	}
}

func TestRenderKustomize(t *testing.T) {
	files := map[string]string{
		"base/kustomization.yaml":                 "resources: [d.yaml]\n",
		"base/d.yaml":                             deployment,
		"bundles/app/overlay/kustomization.yaml":  "resources: [../../../base]\nnamePrefix: my-\nconfigMapGenerator: [{name: c, literals: [a=b]}]\n",
		"bundles/remote/kustomization.yaml":       "resources: [github.com/org/repo]\n",
		"bundles/url/kustomization.yaml":          "resources: []\npatches: [{path: 'https://example.com/x.yaml'}]\n",
		"bundles/out/kustomization.yaml":          "resources: [../../../x]\n",
		"bundles/charts/kustomization.yaml":       "helmCharts: [{name: x}]\n",
		"bundles/filesoutside/kustomization.yaml": "configMapGenerator: [{name: c, files: [../../base/d.yaml]}]\n",
	}
	source := &v1alpha1.BundleSource{Kustomize: &v1alpha1.KustomizeSource{Path: "overlay"}}
	variant, err := render(t, input(files, target.Inputs{Source: source, Namespace: "apps"}))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, item := range variant.Manifest.Items {
		got[item.ObjectID.String()] = item.Source
	}
	want := map[string]string{"Deployment.apps my-web": "base/d.yaml:1", "ConfigMap my-c-4h2mbtbbt6": "bundles/app/overlay/kustomization.yaml:3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, item := range variant.Manifest.Items {
		if strings.Contains(string(variant.Blobs[item.Digest]), "config.kubernetes.io") {
			t.Error("the library's annotations are part of the content")
		}
	}
	for _, folder := range []string{"remote", "url", "out", "charts", "filesoutside"} {
		source := &v1alpha1.BundleSource{Kustomize: &v1alpha1.KustomizeSource{Path: "../" + folder}}
		_, err := render(t, input(files, target.Inputs{Source: source}))
		var refused *renderer.Error
		if !errors.As(err, &refused) || !strings.HasPrefix(refused.File, "bundles/"+folder+"/kustomization.yaml") {
			t.Errorf("%s: want a refusal that names the kustomization, got %v", folder, err)
		}
	}
}

func TestRenderHelm(t *testing.T) {
	files := map[string]string{
		"bundles/app/chart/Chart.yaml":            "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"bundles/app/chart/values.yaml":           "replicas: 1\nlabels: {a: b, c: d}\n",
		"bundles/app/chart/values.schema.json":    `{"properties":{"replicas":{"type":"integer"}}}`,
		"bundles/app/chart/crds/x.yaml":           "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x}\n",
		"bundles/app/chart/templates/_t.tpl":      `{{ define "n" }}{{ .Release.Name }}{{ end }}`,
		"bundles/app/chart/templates/NOTES.txt":   "hello",
		"bundles/app/chart/templates/config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ include \"n\" . }}, labels: {{ .Values.labels | toJson }}}\ndata: {r: \"{{ .Values.replicas }}\", ns: {{ .Release.Namespace }}, v: {{ .Capabilities.KubeVersion.Version }}, l: \"{{ lookup \"v1\" \"Secret\" \"a\" \"b\" }}\"}\n",
		"bundles/app/prod.yaml":                   "replicas: 2\n",
		"bundles/app/random/Chart.yaml":           "apiVersion: v2\nname: random\nversion: 1.0.0\n",
		"bundles/app/random/templates/r.yaml":     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {password: {{ randAlphaNum 20 }}}\n",
		"bundles/app/missing/Chart.yaml":          "apiVersion: v2\nname: missing\nversion: 1.0.0\ndependencies: [{name: redis, version: 1.0.0, repository: 'https://x'}]\n",
	}
	helm := func(chart string) *v1alpha1.BundleSource {
		return &v1alpha1.BundleSource{Helm: &v1alpha1.HelmSource{Chart: chart, ValuesFiles: []string{"prod.yaml"}}}
	}
	in := input(files, target.Inputs{Source: helm("./chart"), Namespace: "apps", Values: map[string]any{"labels": map[string]any{"a": nil}}})
	in.ClusterVersion = "v1.35.2"
	variant, err := render(t, in)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, item := range variant.Manifest.Items {
		got = append(got, item.Source+" "+string(variant.Blobs[item.Digest]))
	}
	want := []string{
		`bundles/app/chart/crds/x.yaml {"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"x"}}`,
		`bundles/app/chart/templates/config.yaml {"apiVersion":"v1","data":{"l":"map[]","ns":"apps","r":"2","v":"v1.35.2"},"kind":"ConfigMap","metadata":{"labels":{"c":"d"},"name":"app"}}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for name, tc := range map[string]struct{ chart, values, file, says string }{
		"Random":     {chart: "random", file: "bundles/app/random/templates/r.yaml", says: "/data/password"},
		"Dependency": {chart: "missing", file: "bundles/app/missing/Chart.yaml", says: "redis"},
		"Schema":     {chart: "chart", values: "text", file: "bundles/app/chart/values.schema.json", says: "replicas"},
		"NoChart":    {chart: "none", file: "bundles/app/none", says: "Chart.yaml"},
	} {
		inputs := target.Inputs{Source: helm(tc.chart)}
		if tc.values != "" {
			inputs.Values = map[string]any{"replicas": tc.values}
		}
		_, err := render(t, input(files, inputs))
		var refused *renderer.Error
		if !errors.As(err, &refused) || refused.File != tc.file || !strings.Contains(refused.Message, tc.says) {
			t.Errorf("%s: want %s to be refused for %q, got %v", name, tc.file, tc.says, err)
		}
	}
}

// counting counts renderings.
type counting struct {
	renderer.Renderer
	count atomic.Int32
}

func (c *counting) Render(ctx context.Context, request renderer.Request) (renderer.Result, error) {
	c.count.Add(1)
	return c.Renderer.Render(ctx, request)
}

func TestRenderOnce(t *testing.T) {
	counter := &counting{Renderer: Builtin()[0]}
	r, err := New(Config{SecretKey: []byte("key"), Renderers: []renderer.Renderer{counter}})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"bundles/app/d.yaml": deployment}
	revisions := map[string]bool{}
	for replicas := range 100 {
		in := input(files, target.Inputs{Set: []target.Set{{Pointer: "/spec/replicas", Value: int64(replicas / 2), Field: "spec.set[0]"}}})
		variant, err := r.Render(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		revisions[string(variant.Revision)] = true
	}
	if counter.count.Load() != 2 || len(revisions) != 50 {
		t.Errorf("want one base, proven once, and 50 revisions; got %d renderings, %d revisions", counter.count.Load(), len(revisions))
	}
	if diff := cmp.Diff(Stats{Bases: 1, BaseHits: 49, Variants: 50, VariantHits: 50}, r.Stats()); diff != "" {
		t.Error(diff)
	}
}

package kustomize

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

func filesOf(files map[string]string) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return tree
}

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"

func TestSources(t *testing.T) {
	files := filesOf(map[string]string{
		"base/kustomization.yaml":   "resources: [all.yaml]\nconfigMapGenerator:\n- name: first\n  literals: [a=1]\n- name: made\n  literals: [a=1]\n",
		"base/all.yaml":             "# head\n" + configMap + "---\nkind: List\napiVersion: v1\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: x-long}\n",
		"b/o/kustomization.yaml":    "namePrefix: p-\nresources: [../../base]\ntransformers:\n- |-\n  apiVersion: builtin\n  kind: AnnotationsTransformer\n  metadata: {name: a}\n  annotations: {a: b}\n  fieldSpecs: [{path: metadata/annotations, create: true}]\n",
		"b/unread/kustomization.md": "",
	})
	result, err := Renderer{}.Render(t.Context(), renderer.Request{FS: files, Dir: "b", Path: "o"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, object := range result.Objects {
		metadata := object.Value["metadata"].(map[string]any)
		got[metadata["name"].(string)] = object.Source
		if diff := cmp.Diff(map[string]any{"a": "b"}, metadata["annotations"]); diff != "" {
			t.Errorf("the library's notes stay in the objects:\n%s", diff)
		}
	}
	want := map[string]string{"p-x": "base/all.yaml:2", "p-x-long": "base/all.yaml:9",
		"p-made-h29d89cmmt": "base/kustomization.yaml:5", "p-first-h29d89cmmt": "base/kustomization.yaml:3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRefuses(t *testing.T) {
	plugin := func(rest string) string {
		return "apiVersion: builtin\nkind: PatchTransformer\nmetadata:\n  name: x\n" + rest
	}
	cases := map[string]struct {
		reason string
		files  map[string]string
		file   string
		line   int
		says   string
	}{
		"NoKustomization": {reason: "The folder is named.", files: map[string]string{"b/a.yaml": configMap}, file: "b", says: "no kustomization.yaml"},
		"TwoFiles":        {reason: "Which of them counts is nobody's guess.", files: map[string]string{"b/kustomization.yaml": "resources: []", "b/Kustomization": "resources: []"}, file: "b/Kustomization", says: "keep one"},
		"Remote":          {reason: "A remote base needs the network.", files: map[string]string{"b/kustomization.yaml": "resources:\n- a.yaml\n- https://github.com/o/r//d?ref=v1\n", "b/a.yaml": configMap}, file: "b/kustomization.yaml", line: 3, says: "remote bases are not supported"},
		"RemoteShort":     {reason: "The library clones this, even where a folder of the name is there.", files: map[string]string{"b/kustomization.yaml": "resources: [github.com/o/r]", "b/github.com/o/r/kustomization.yaml": ""}, file: "b/kustomization.yaml", line: 1, says: "remote bases"},
		"RemoteScp":       {reason: "And this.", files: map[string]string{"b/kustomization.yaml": "components: ['git@example.com:o/r']"}, file: "b/kustomization.yaml", line: 1, says: "remote bases"},
		"RemoteFile":      {reason: "The library would fetch a patch's file.", files: map[string]string{"b/kustomization.yaml": "patches:\n- target: {}\n  path: https://example.com/p\n"}, file: "b/kustomization.yaml", line: 3, says: "remote files"},
		"RemoteInPlugin":  {reason: "Also that of a transformer.", files: map[string]string{"b/kustomization.yaml": "transformers: [t.yaml]", "b/t.yaml": plugin("path: http://example.com/p\n")}, file: "b/t.yaml", line: 5, says: "remote files"},
		"RemoteByPatch":   {reason: "Or one that is put together.", files: map[string]string{"b/kustomization.yaml": "transformers: [d]", "b/d/kustomization.yaml": "resources: [p.yaml]\npatches: [{path: q.yaml}]", "b/d/p.yaml": plugin("path: p\n"), "b/d/q.yaml": "[{op: add, path: /path, value: 'http://example.com'}]"}, file: "b/d/q.yaml", line: 1, says: "remote files"},
		"Program":         {reason: "Functions run programs.", files: map[string]string{"b/kustomization.yaml": "generators: [g.yaml]", "b/g.yaml": plugin("  annotations: {config.kubernetes.io/function: 'exec: {path: /bin/true}'}\n")}, file: "b/g.yaml", line: 1, says: "would run a program"},
		"Plugin":          {reason: "Plugins of others are programs, too.", files: map[string]string{"b/kustomization.yaml": "generators: [g.yaml]", "b/g.yaml": "apiVersion: example.com/v1\nkind: Run\nmetadata: {name: x}\n"}, file: "b/kustomization.yaml", says: "external plugins disabled"},
		"Helm":            {reason: "Helm charts have a renderer of their own.", files: map[string]string{"b/kustomization.yaml": "resources: []\nhelmCharts: [{name: x}]"}, file: "b/kustomization.yaml", line: 2, says: "source: {helm:"},
		"HelmGenerator":   {reason: "Also as a generator.", files: map[string]string{"b/kustomization.yaml": "generators: [g.yaml]", "b/g.yaml": "apiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: x}\n"}, file: "b/g.yaml", line: 1, says: "run helm"},
		"Above":           {reason: "Nothing above the repository's root is there.", files: map[string]string{"b/kustomization.yaml": "resources: [../../x]"}, file: "b/kustomization.yaml", line: 1, says: "leads out of the repository"},
		"Absolute":        {reason: "Absolute paths mean the machine's.", files: map[string]string{"b/kustomization.yaml": "resources: [/etc/passwd]"}, file: "b/kustomization.yaml", line: 1, says: "leads out of the repository"},
		"Missing":         {reason: "A missing file is named by line.", files: map[string]string{"b/kustomization.yaml": "resources:\n- ../base\n", "base/kustomization.yaml": "resources:\n\n- nope.yaml\n"}, file: "base/kustomization.yaml", line: 3, says: `"nope.yaml" is not in the repository`},
		"Syntax":          {reason: "A broken resource is named by line.", files: map[string]string{"b/kustomization.yaml": "resources: [a.yaml]", "b/a.yaml": configMap + "data: [\n"}, file: "b/a.yaml", line: 4},
		"NoBase":          {reason: "The kustomization is named that wants the base.", files: map[string]string{"b/kustomization.yaml": "namePrefix: x\nresources: [../c]\n", "c/a.yaml": configMap}, file: "b/kustomization.yaml", line: 2, says: "has no kustomization.yaml"},
		"Component":       {reason: "A component is not a base.", files: map[string]string{"b/kustomization.yaml": "resources: [../c]\n", "c/kustomization.yaml": "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\n"}, file: "b/kustomization.yaml", line: 1, says: "under components"},
		"NoComponent":     {reason: "Nor the other way.", files: map[string]string{"b/kustomization.yaml": "components: [../c]\n", "c/kustomization.yaml": "resources: []\n"}, file: "b/kustomization.yaml", line: 1, says: "under resources"},
		"BrokenSchemas":   {reason: "The library panics on schemas that are none.", files: map[string]string{"b/kustomization.yaml": "resources: [a.yaml]\nopenapi: {path: s.json}\npatches: [{path: a.yaml}]\n", "b/a.yaml": configMap, "b/s.json": "[7"}, file: "b/kustomization.yaml", says: "schema"},
		"UnknownField":    {reason: "A slip in a field's name is named by line.", files: map[string]string{"b/kustomization.yaml": "resources: [../c]\n", "c/kustomization.yaml": "namePrefix: x-\nresource: []\n"}, file: "c/kustomization.yaml", line: 2, says: "resource"},
		"WrongType":       {reason: "So is a value of another type.", files: map[string]string{"b/kustomization.yaml": "namePrefix: x-\ncommonAnnotations: {a: 1}\n"}, file: "b/kustomization.yaml", line: 2, says: "commonAnnotations"},
		"Cycle":           {reason: "A cycle ends.", files: map[string]string{"b/kustomization.yaml": "resources: [../c]", "c/kustomization.yaml": "resources: [../b]"}, file: "c/kustomization.yaml", line: 1, says: "cycle"},
		"Patch":           {reason: "The kustomization with the patch is named, not the overlay above it.", files: map[string]string{"b/kustomization.yaml": "resources: [../base]", "base/kustomization.yaml": "resources: [a.yaml]\npatches: [{path: p.yaml}]", "base/a.yaml": configMap, "base/p.yaml": strings.Replace(configMap, "x", "y", 1)}, file: "base/kustomization.yaml", says: "no"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Renderer{}.Render(t.Context(), renderer.Request{FS: filesOf(tc.files), Dir: "b"})
			var refused *renderer.Error
			if !errors.As(err, &refused) || refused.File != tc.file || refused.Line != tc.line || !strings.Contains(refused.Message, tc.says) {
				t.Errorf("%s\nwant %s:%d with %q, got %v", tc.reason, tc.file, tc.line, tc.says, err)
			}
		})
	}
}

func TestRenderIsDeterministic(t *testing.T) {
	files := filesOf(map[string]string{
		"b/kustomization.yaml": "resources: [a.yaml]\nnamePrefix: p-\nlabels: [{pairs: {a: b, c: d, e: f, g: h}, includeSelectors: true}]\ncommonAnnotations: {i: j, k: l, m: z}\nconfigMapGenerator:\n- {name: one, literals: [a=1, b=2, c=3], files: [a.yaml]}\n- {name: two, literals: [a=1]}\n",
		"b/a.yaml":             configMap + "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selector: {q: r}}\n",
	})
	want := build(t, files)
	for run := range 99 {
		if got := build(t, files); got != want {
			t.Fatalf("run %d differs:\n%s", run, cmp.Diff(want, got))
		}
	}
}

// TestLinksStayInside follows symbolic links as the repository does: inside it, and in circles only so far.
func TestLinksStayInside(t *testing.T) {
	files := filesOf(map[string]string{"b/kustomization.yaml": "resources: [base]\n", "base/kustomization.yaml": "resources: [a.yaml]\n", "base/a.yaml": configMap})
	files["b/base"] = &fstest.MapFile{Data: []byte("../base"), Mode: fs.ModeSymlink}
	if got := build(t, files); !strings.Contains(got, `"name":"x"`) {
		t.Errorf("a link to a base is not followed: %s", got)
	}
	files["base/kustomization.yaml"] = &fstest.MapFile{Data: []byte("resources: [again]\n")}
	files["base/again"] = &fstest.MapFile{Data: []byte("."), Mode: fs.ModeSymlink}
	if _, err := (Renderer{}).Render(t.Context(), renderer.Request{FS: files, Dir: "b"}); err == nil || !strings.Contains(err.Error(), "in a circle") {
		t.Error("a link in a circle ends nowhere:", err)
	}
	files["base/again"] = &fstest.MapFile{Data: []byte("../.."), Mode: fs.ModeSymlink}
	if _, err := (Renderer{}).Render(t.Context(), renderer.Request{FS: files, Dir: "b"}); err == nil {
		t.Error("a link leads out of the repository")
	}
}

// overlay of 20 Deployments with a patch that needs Kubernetes' schemas.
func overlay(n int, extra string) fstest.MapFS {
	var objects strings.Builder
	for i := range 20 {
		fmt.Fprintf(&objects, "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web-%d}\nspec: {template: {spec: {containers: [{name: a, image: x}, {name: b, image: \"y\"}]}}}\n", i)
	}
	return filesOf(map[string]string{
		"base/kustomization.yaml": "resources: [all.yaml]\nconfigMapGenerator: [{name: made, literals: [a=1]}]\n", "base/all.yaml": objects.String(),
		"b/kustomization.yaml": fmt.Sprintf("resources: [../base]\nnamePrefix: p%d-\n%spatches:\n- target: {kind: Deployment}\n  patch: |-\n    kind: Deployment\n    apiVersion: apps/v1\n    metadata: {name: any}\n    spec: {template: {spec: {containers: [{name: b, image: z%d}]}}}\n", n, extra, n),
		"b/schema.json":        `{"definitions": {}}`,
	})
}

func build(t testing.TB, files fstest.MapFS) string {
	t.Helper()
	result, err := Renderer{}.Render(t.Context(), renderer.Request{FS: files, Dir: "b"})
	if err != nil {
		t.Error(err)
	}
	var out strings.Builder
	for _, object := range result.Objects {
		text, err := content.CanonicalJSON(object.Value)
		if err != nil {
			t.Error(err)
		}
		out.Write(text)
	}
	return out.String()
}

// TestBuildsDoNotMeet builds kustomizations side by side, among them some that replace the library's schemas: each gives
// what it gives alone.
func TestBuildsDoNotMeet(t *testing.T) {
	trees := []fstest.MapFS{overlay(1, ""), overlay(2, ""), overlay(3, "openapi: {path: schema.json}\n"), overlay(4, "openapi: {version: v1.21.2}\n")}
	var want []string
	for _, tree := range trees {
		want = append(want, build(t, tree))
	}
	if want[2] == strings.ReplaceAll(strings.ReplaceAll(want[0], "p1-", "p3-"), "z1", "z3") {
		t.Fatal("the schemas of a kustomization do not count: the test proves nothing")
	}
	var group sync.WaitGroup
	for range 4 {
		for i, tree := range trees {
			group.Go(func() {
				if got := build(t, tree); got != want[i] {
					t.Errorf("build %d differs beside others:\n%s", i, cmp.Diff(want[i], got))
				}
			})
		}
	}
	group.Wait()
}

func BenchmarkBuild(b *testing.B) {
	files := overlay(1, "")
	build(b, files)
	b.Run("Alone", func(b *testing.B) {
		for b.Loop() {
			build(b, files)
		}
	})
	b.Run("SideBySide", func(b *testing.B) {
		b.RunParallel(func(each *testing.PB) {
			for each.Next() {
				build(b, files)
			}
		})
	})
}

package render

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/plugins/renderer/manifests"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

func decoded(t testing.TB, text string) []renderer.Object {
	t.Helper()
	objects, err := manifests.Decode("bundles/app/a.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func encoded(t testing.TB, objects []renderer.Object) string {
	t.Helper()
	var out []string
	for _, object := range objects {
		text, err := content.CanonicalJSON(object.Value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(text))
	}
	return strings.Join(out, "\n")
}

func anyPatch(text string) []v1alpha1.Patch {
	return []v1alpha1.Patch{{Target: &v1alpha1.ObjectMatch{}, Patch: text}}
}

func TestPost(t *testing.T) {
	workload := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x, labels: {a: b}}\nspec: {template: {spec: {containers: [{name: a, image: i}, {name: b, image: j}], volumes: [{name: v, emptyDir: {}}]}}}\n"
	robot := "apiVersion: example.com/v1\nkind: Robot\nmetadata: {name: x}\nspec: {arms: [{name: l, tool: saw}], legs: {count: 2, of: wood}}\n"
	config := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
	cases := map[string]struct {
		reason string
		text   string
		inputs target.Inputs
		want   string
	}{
		"MergeByKey": {
			reason: "Lists of Kubernetes' own kinds are merged by their keys; new items come last, $patch: delete takes one away.",
			text:   workload,
			inputs: target.Inputs{Patches: anyPatch("spec: {template: {spec: {containers: [{name: a, image: z}, {name: c, image: k}, {name: b, $patch: delete}], volumes: [{name: v, emptyDir: null, hostPath: {path: /x}}]}}}")},
			want:   `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"labels":{"a":"b"},"name":"x"},"spec":{"template":{"spec":{"containers":[{"image":"z","name":"a"},{"image":"k","name":"c"}],"volumes":[{"hostPath":{"path":"/x"},"name":"v"}]}}}}`,
		},
		"MergeOthers": {
			reason: "Other kinds have no keys: lists are replaced, mappings merged, null removes, directives count.",
			text:   robot,
			inputs: target.Inputs{Patches: anyPatch("spec: {arms: [{name: r}], legs: {of: null, $retainKeys: [count]}, new: {a: [1]}}")},
			want:   `{"apiVersion":"example.com/v1","kind":"Robot","metadata":{"name":"x"},"spec":{"arms":[{"name":"r"}],"legs":{"count":2},"new":{"a":[1]}}}`,
		},
		"NewerField": {
			reason: "A field that the Go types do not know yet is merged like those of other kinds.",
			text:   "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {notYet: {a: 1}, notList: [1]}\n",
			inputs: target.Inputs{Patches: anyPatch("spec: {notYet: {b: 2}, notList: [2]}")},
			want:   `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"notList":[2],"notYet":{"a":1,"b":2}}}`,
		},
		"DeleteObject": {
			reason: "A patch may take an object away; it names its object itself.",
			text:   config + "---\n" + robot,
			inputs: target.Inputs{Patches: []v1alpha1.Patch{{Patch: "$patch: delete\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"}},
				Labels: map[string]string{"l": "1"}},
			want: `{"apiVersion":"example.com/v1","kind":"Robot","metadata":{"labels":{"l":"1"},"name":"x"},"spec":{"arms":[{"name":"l","tool":"saw"}],"legs":{"count":2,"of":"wood"}}}`,
		},
		"Operations": {
			reason: "All operations of JSON 6902.",
			text:   robot,
			inputs: target.Inputs{Patches: anyPatch(`[{"op":"test","path":"/spec/legs/count","value":2},{"op":"copy","from":"/spec/legs","path":"/spec/copy"},{"op":"move","from":"/spec/arms/0","path":"/spec/arm"},{"op":"remove","path":"/spec/legs"},{"op":"add","path":"/spec/arms/-","value":{"a~b/c":1}},{"op":"replace","path":"/spec/arms/0/a~0b~1c","value":9007199254740993}]`)},
			want:   `{"apiVersion":"example.com/v1","kind":"Robot","metadata":{"name":"x"},"spec":{"arm":{"name":"l","tool":"saw"},"arms":[{"a~b/c":9007199254740993}],"copy":{"count":2,"of":"wood"}}}`,
		},
		"Order": {
			reason: "Labels and annotations are on every object, whatever a patch does; what set says of one field counts last.",
			text:   config,
			inputs: target.Inputs{
				Patches: anyPatch("metadata: {labels: {team: patch, own: patch}}"), Labels: map[string]string{"team": "all", "zone": "all"}, Annotations: map[string]string{"note": "all"},
				Set: []target.Set{{Pointer: "/metadata/labels/zone", Value: "set"}, {Pointer: "/data/hosts", Value: []any{"a"}}, {Pointer: "/data/hosts/-", Value: "b"}},
			},
			want: `{"apiVersion":"v1","data":{"hosts":["a","b"]},"kind":"ConfigMap","metadata":{"annotations":{"note":"all"},"labels":{"own":"patch","team":"all","zone":"set"},"name":"x"}}`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			base := decoded(t, tc.text)
			before := encoded(t, base)
			objects, err := post(Input{Inputs: tc.inputs}, base)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, encoded(t, objects)); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(before, encoded(t, base)); diff != "" {
				t.Errorf("the shared base was changed:\n%s", diff)
			}
		})
	}
}

func TestPostRefuses(t *testing.T) {
	ops := func(text string) target.Inputs { return target.Inputs{Patches: anyPatch(text)} }
	cases := map[string]struct {
		reason string
		inputs target.Inputs
		line   int
		says   string
	}{
		"Test":        {reason: "A failed test is named by its operation and its object.", inputs: ops("- {op: add, path: /a, value: 1}\n- {op: test, path: /kind, value: Pod}"), line: 7, says: "spec.patches[0]: ConfigMap x (bundles/app/a.yaml:1): operation 1: "},
		"NoParent":    {reason: "So is a path that leads nowhere.", inputs: ops("[{op: replace, path: /spec/a, value: 1}]"), line: 7, says: "operation 0: "},
		"UnknownOp":   {reason: "A slip in an operation is not skipped.", inputs: ops("[{op: put, path: /a}]"), line: 7, says: "unsupported operation"},
		"NoPath":      {reason: "A path is required.", inputs: ops("[{op: remove}]"), line: 7, says: "missing path"},
		"Rename":      {reason: "A patch with a new name would be another object.", inputs: ops("[{op: replace, path: /metadata/name, value: y}]"), line: 7, says: "names the object"},
		"Syntax":      {reason: "The line inside the patch is named.", inputs: ops("a: 1\nb: [\n"), line: 7, says: "line 2"},
		"TwoPatches":  {reason: "One document is one patch.", inputs: ops("a: 1\n---\nb: 1\n"), line: 7, says: "one document, not 2"},
		"NoTarget":    {reason: "Operations do not name their object.", inputs: target.Inputs{Patches: []v1alpha1.Patch{{Patch: "[]"}}}, line: 7, says: "needs a target"},
		"Overlay":     {reason: "The patch of a target is found where it stands.", inputs: target.Inputs{Patches: anyPatch("[{op: remove, path: /x}]"), PatchFields: []string{"spec.targets[0].patches[0]"}}, line: 9, says: "spec.targets[0].patches[0]: ConfigMap x"},
		"LeadingZero": {reason: "Indices are those of RFC 6901.", inputs: target.Inputs{Set: []target.Set{{Pointer: "/l", Value: []any{"a"}, Field: "spec.set[0]"}, {Pointer: "/l/00", Value: "b", Field: "spec.set[0]"}}}, line: 8, says: `no item "00"`},
	}
	bundle := fleet.BundleDecl{File: "bundles/app/bundle.yaml", Line: 1, Lines: map[string]int{"spec.patches[0]": 7, "spec.set[0]": 8, "spec.targets[0].patches[0]": 9}}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := post(Input{Bundle: bundle, Inputs: tc.inputs}, decoded(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"))
			var refused *renderer.Error
			if !errors.As(err, &refused) || refused.File != bundle.File || refused.Line != tc.line || !strings.Contains(refused.Message, tc.says) {
				t.Errorf("%s\nwant line %d with %q, got %v", tc.reason, tc.line, tc.says, err)
			}
		})
	}
}

func TestPostCopiesOnlyWhatItChanges(t *testing.T) {
	base := decoded(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: y}\n")
	base[1].Hook = &content.Hook{Events: []string{content.HookPreInstall}}
	objects, err := post(Input{Inputs: target.Inputs{Set: []target.Set{{Target: v1alpha1.ObjectMatch{Kind: "Secret"}, Pointer: "/data/a", Value: "b"}}}}, base)
	if err != nil {
		t.Fatal(err)
	}
	same := func(i int) bool {
		return reflect.ValueOf(objects[i].Value).Pointer() == reflect.ValueOf(base[i].Value).Pointer()
	}
	if !same(0) || same(1) {
		t.Errorf("want the first object shared and the second copied, got %v, %v", same(0), same(1))
	}
	if objects[1].Hook == nil || objects[1].Source != base[1].Source {
		t.Errorf("what is beside the value was lost: %+v", objects[1])
	}
}

// BenchmarkPostSet is what a thousand clusters cost that differ in one host name: a base of 100 objects, one set each.
func BenchmarkPostSet(b *testing.B) {
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, "---\n%s", strings.Replace(deployment, "web", fmt.Sprintf("web-%d", i), 1))
	}
	text.WriteString("---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec: {rules: [{host: x}]}\n")
	base := decoded(b, text.String())
	b.ReportAllocs()
	for b.Loop() {
		for cluster := range 1000 {
			in := Input{Inputs: target.Inputs{Set: []target.Set{{Target: v1alpha1.ObjectMatch{Kind: "Ingress"}, Pointer: "/spec/rules/0/host", Value: fmt.Sprintf("c%d.example.com", cluster)}}}}
			if _, err := post(in, base); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkRenderSet is the same from inputs to revisions.
func BenchmarkRenderSet(b *testing.B) {
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, "---\n%s", strings.Replace(deployment, "web", fmt.Sprintf("web-%d", i), 1))
	}
	text.WriteString("---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec: {rules: [{host: x}]}\n")
	files := map[string]string{"bundles/app/a.yaml": text.String()}
	in := input(files, target.Inputs{})
	for b.Loop() {
		r, err := New(Config{SecretKey: []byte("key")})
		if err != nil {
			b.Fatal(err)
		}
		for cluster := range 1000 {
			in.Inputs.Set = []target.Set{{Target: v1alpha1.ObjectMatch{Kind: "Ingress"}, Pointer: "/spec/rules/0/host", Value: fmt.Sprintf("c%d.example.com", cluster)}}
			if _, err := r.Render(b.Context(), in); err != nil {
				b.Fatal(err)
			}
		}
		if bases := r.Stats().Bases; bases != 1 {
			b.Fatalf("%d base renderings", bases)
		}
	}
}

// BenchmarkPostPatch is the same with a strategic merge and a common label, which touch every object.
func BenchmarkPostPatch(b *testing.B) {
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, "---\n%s", strings.Replace(deployment, "web", fmt.Sprintf("web-%d", i), 1))
	}
	base := decoded(b, text.String())
	in := Input{Inputs: target.Inputs{Labels: map[string]string{"team": "a"}, Patches: anyPatch("spec: {template: {spec: {containers: [{name: b, image: z}]}}}")}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := post(in, base); err != nil {
			b.Fatal(err)
		}
	}
}

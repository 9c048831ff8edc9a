package target_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/hub/target/expr"
)

func parse(t *testing.T, spec string) fleet.BundleDecl {
	t.Helper()
	evaluator, err := expr.New()
	if err != nil {
		t.Fatal(err)
	}
	text := "apiVersion: fleet.periplus.dev/v1alpha1\nkind: Bundle\nmetadata: {name: web}\nspec:\n" + spec
	bundle, refused := fleet.ParseBundle("bundles/web/bundle.yaml", []byte(text), "fleet", evaluator)
	if len(refused) > 0 {
		t.Fatal(refused)
	}
	return bundle
}

func cluster() target.Cluster {
	return target.Cluster{UID: "u", Namespace: "fleet", Name: "eu-1", Labels: map[string]string{"env": "prod"}, Version: "v1.36.1",
		Variables: map[string]any{"replicas": float64(3), "domain": "eu1.example.com"}}
}

func TestMatchBundle(t *testing.T) {
	bundle := parse(t, "  targets:\n  - {name: canary, clusterSelector: {matchLabels: {canary: 'yes'}}}\n  - {clusterGroup: prod}\n  - {name: rest, clusterSelector: {matchExpressions: [{key: env, operator: In, values: [staging, prod]}]}}\n")
	groups := map[string]*target.Group{}
	selector := labels.SelectorFromSet(labels.Set{"env": "prod"})
	groups["prod"] = target.NewGroup(fleet.GroupDecl{Group: v1alpha1.ClusterGroup{}, Selector: selector})
	cases := map[string]struct {
		reason string
		labels map[string]string
		groups map[string]*target.Group
		want   string
		fails  bool
	}{
		"First":        {reason: "The first match wins.", labels: map[string]string{"canary": "yes", "env": "prod"}, groups: groups, want: "canary"},
		"Group":        {reason: "A target without name is named by its index.", labels: map[string]string{"env": "prod"}, groups: groups, want: "1"},
		"Last":         {reason: "Expressions work.", labels: map[string]string{"env": "staging"}, groups: groups, want: "rest"},
		"None":         {reason: "No match, no delivery.", labels: map[string]string{"env": "dev"}, groups: groups},
		"UnknownGroup": {reason: "An unknown group is an error, never a removal.", labels: map[string]string{"env": "staging"}, fails: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			match, ok, err := target.MatchBundle(bundle, tc.groups, target.Cluster{Name: "x", Labels: tc.labels})
			if match.Name != tc.want || ok != (tc.want != "") || (err != nil) != tc.fails {
				t.Errorf("%s\nwant %q, got %+v, %t, %v", tc.reason, tc.want, match, ok, err)
			}
		})
	}
}

func TestInputs(t *testing.T) {
	bundle := parse(t, `  source: {helm: {chart: ./chart}}
  namespace: "web-${{ cluster.labels.env }}"
  labels: {cluster: "${{ cluster.name }}"}
  values:
    replicas: "${{ cluster.variables.replicas * 2 }}"
    host: "www.${{ cluster.variables.domain }}"
    deep: {a: 1, b: [1, 2], c: {x: true}}
    literal: "$${{ x }}"
  set: [{target: {kind: Ingress}, pointer: /a, value: "${{ cluster.version }}"}]
  targets:
  - clusterSelector: {}
    ref: {tag: v1}
    values: {deep: {a: null, b: [3], c: {y: "${{ cluster.variables.?none.orValue(false) }}"}}}
    patches: [{target: {kind: X}, patch: "a: ${{ cluster.name }}"}]
`)
	resolver, err := target.NewResolver()
	if err != nil {
		t.Fatal(err)
	}
	match, _, err := target.MatchBundle(bundle, nil, cluster())
	if err != nil {
		t.Fatal(err)
	}
	got, err := resolver.Inputs(bundle, match, cluster())
	if err != nil {
		t.Fatal(err)
	}
	want := target.Inputs{
		Source: &v1alpha1.BundleSource{Helm: &v1alpha1.HelmSource{Chart: "./chart"}}, Ref: &v1alpha1.GitRef{Tag: "v1"}, Namespace: "web-prod",
		Values: map[string]any{"replicas": int64(6), "host": "www.eu1.example.com", "literal": "${{ x }}",
			"deep": map[string]any{"a": nil, "b": []any{int64(3)}, "c": map[string]any{"x": true, "y": false}}},
		Labels:      map[string]string{"cluster": "eu-1"},
		PatchFields: []string{"spec.targets[0].patches[0]"},
		Patches:     []v1alpha1.Patch{{Target: &v1alpha1.ObjectMatch{Kind: "X"}, Patch: "a: eu-1"}},
		Set:         []target.Set{{Target: v1alpha1.ObjectMatch{Kind: "Ingress"}, Pointer: "/a", Value: "v1.36.1", Field: "spec.set[0]"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestInputsMistakes(t *testing.T) {
	cases := map[string]struct {
		reason, spec, field string
		line                int
	}{
		"Missing":   {reason: "What the cluster lacks is named.", spec: "  set:\n  - target: {}\n    pointer: /a\n    value: {x: [\"${{ cluster.variables.none }}\"]}\n", field: "spec.set[0].value.x[0]", line: 9},
		"Namespace": {reason: "A namespace must be one.", spec: "  namespace: \"${{ cluster.variables.domain }}\"\n", field: "spec.namespace", line: 6},
		"NoString":  {reason: "A text must stay one.", spec: "  namespace: \"${{ cluster.variables.replicas }}\"\n", field: "spec.namespace", line: 6},
		"Label":     {reason: "A label value must be one.", spec: "  labels: {a: \"${{ cluster.name + '/x' }}\"}\n", field: "spec.labels.a", line: 6},
	}
	resolver, err := target.NewResolver()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bundle := parse(t, "  targets: [{clusterSelector: {}}]\n"+tc.spec)
			match, _, err := target.MatchBundle(bundle, nil, cluster())
			if err != nil {
				t.Fatal(err)
			}
			_, err = resolver.Inputs(bundle, match, cluster())
			var failed *target.Error
			if !errors.As(err, &failed) || failed.Field != tc.field || failed.Line != tc.line || !strings.Contains(err.Error(), `cluster "eu-1"`) {
				t.Errorf("%s\nwant %s at line %d, got %v", tc.reason, tc.field, tc.line, err)
			}
		})
	}
}

package target_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/target"
)

func TestMatchDelivered(t *testing.T) {
	prod := fleet.GroupDecl{Group: v1alpha1.ClusterGroup{}, Selector: labels.SelectorFromSet(labels.Set{"env": "prod"})}
	prod.Group.Name = "prod"
	groups := target.Groups([]fleet.GroupDecl{prod})
	drained := []v1alpha1.ClusterTaint{{Key: "drained", Value: "yes", Effect: v1alpha1.NoSelect}}
	full := []v1alpha1.ClusterTaint{{Key: "full", Effect: v1alpha1.NoSelectIfNew}}
	at := func(taints []v1alpha1.ClusterTaint) target.Cluster {
		return target.Cluster{Name: "eu-1", Labels: map[string]string{"env": "prod"}, Properties: map[string]string{"provider": "joined"}, Taints: taints}
	}
	cases := map[string]struct {
		reason, spec string
		cluster      target.Cluster
		delivered    bool
		// want is the target, with the overlays that match; "" is none, for the reason why.
		want     string
		overlays []int
		why      string
		fails    string
	}{
		"All": {reason: "All that is given must hold.", cluster: at(nil), want: "a",
			spec: "targets: [{name: a, clusterGroup: prod, clusterSelector: {matchLabels: {env: prod}}, clusterNames: ['us-*', 'eu-*'], propertySelector: {matchLabels: {provider: joined}}, expression: 'cluster.name != \"x\"'}]"},
		"OneFails": {reason: "One that does not hold is enough.", cluster: at(nil), want: "b",
			spec: "targets: [{name: a, clusterGroup: prod, clusterNames: ['us-*']}, {name: b, clusterSelector: {}}]"},
		"Property": {reason: "Properties are selected like labels.", cluster: at(nil), why: "no target matches cluster eu-1",
			spec: "targets: [{propertySelector: {matchExpressions: [{key: provider, operator: NotIn, values: [joined]}]}}]"},
		"Expression": {reason: "An expression sees taints and properties.", cluster: at(full), delivered: true, want: "a",
			spec: `targets: [{name: a, expression: 'cluster.taints.exists(t, t.key == "full") && cluster.properties.provider == "joined"'}]`},
		"ExpressionFails": {reason: "What the cluster lacks is an error, so that nobody leaves by accident.", cluster: at(nil), fails: "spec.targets[0].expression",
			spec: `targets: [{expression: 'cluster.labels.zone == "a"'}]`},
		"ExpressionNotAsked": {reason: "An expression is asked only where the rest chooses.", cluster: at(nil), want: "b",
			spec: `targets: [{clusterNames: [us-1], expression: 'cluster.labels.zone == "a"'}, {name: b, clusterSelector: {}}]`},
		"Exclude": {reason: "An exclusion goes before all targets.", cluster: at(nil), why: "spec.exclude[1] takes cluster eu-1 out",
			spec: "{exclude: [{clusterNames: [us-1]}, {clusterNames: ['eu-*']}], targets: [{clusterSelector: {}}]}"},
		"Taint": {reason: "A taint keeps away.", cluster: at(drained), delivered: true, why: "cluster eu-1 has the taint drained=yes:NoSelect, which the bundle does not tolerate",
			spec: "targets: [{clusterSelector: {}}]"},
		"Tolerated":   {reason: "Unless it is tolerated.", cluster: at(drained), want: "0", spec: "{tolerations: [{key: drained, value: 'yes', effect: NoSelect}], targets: [{clusterSelector: {}}]}"},
		"OtherValue":  {reason: "By its value.", cluster: at(drained), why: "taint drained=yes", spec: "{tolerations: [{key: drained, value: 'no'}], targets: [{clusterSelector: {}}]}"},
		"OtherEffect": {reason: "And its effect.", cluster: at(drained), why: "taint drained=yes", spec: "{tolerations: [{key: drained, operator: Exists, effect: NoSelectIfNew}], targets: [{clusterSelector: {}}]}"},
		"EveryTaint":  {reason: "Exists alone tolerates all.", cluster: at(append(drained, full...)), want: "0", spec: "{tolerations: [{operator: Exists}], targets: [{clusterSelector: {}}]}"},
		"New":         {reason: "NoSelectIfNew keeps new bundles away.", cluster: at(full), why: "the taint full:NoSelectIfNew", spec: "targets: [{clusterSelector: {}}]"},
		"There":       {reason: "And lets those stay that are there.", cluster: at(full), delivered: true, want: "0", spec: "targets: [{clusterSelector: {}}]"},
		"Overlays": {reason: "Every overlay that matches counts, in order.", cluster: at(nil), want: "0", overlays: []int{0, 2},
			spec: "{namespace: x, overlays: [{clusterGroup: prod, set: [{target: {}, pointer: /a, value: 1}]}, {clusterNames: [x], set: [{target: {}, pointer: /a, value: 2}]}, {clusterSelector: {}, set: [{target: {}, pointer: /a, value: 3}]}], targets: [{clusterSelector: {}}]}"},
		"UnknownGroup": {reason: "An unknown group of an overlay is an error too.", cluster: at(nil), fails: "spec.overlays[0].clusterGroup",
			spec: "{overlays: [{clusterGroup: none, set: [{target: {}, pointer: /a, value: 1}]}], targets: [{clusterSelector: {}}]}"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			match, ok, err := target.MatchDelivered(parse(t, "  "+tc.spec+"\n"), groups, tc.cluster, tc.delivered)
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Fatalf("%s\ngot %v", tc.reason, err)
				}
				return
			}
			if err != nil || ok != (tc.want != "") || match.Name != tc.want || !strings.Contains(match.Why, tc.why) || ok == (match.Why != "") {
				t.Errorf("%s\ngot %+v, %t, %v", tc.reason, match, ok, err)
			}
			if diff := cmp.Diff(tc.overlays, match.Overlays); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
}

// external are the ConfigMaps and Secrets of a test, by name and key.
type external map[string]string

func (e external) Values(namespace string, r v1alpha1.ValuesReference) (string, bool, error) {
	kind, key := "ConfigMap", r.ConfigMap
	if r.Secret != nil {
		kind, key = "Secret", r.Secret
	}
	text, ok := e[namespace+" "+kind+" "+key.Name+" "+key.Key]
	return text, ok, nil
}

const layered = `  source: {helm: {chart: ./chart}}
  values:
    a: {x: 1, y: 1}
    list: [1]
    bundle: "${{ cluster.name }}"
  valuesFrom:
  - configMap: {name: web}
  - {secret: {name: token, key: t}, at: /auth/token}
  - {configMap: {name: none}, optional: true}
  targets:
  - clusterSelector: {}
    valuesFrom: [{configMap: {name: web, key: target.yaml}}]
    values:
      a: {y: 2}
  overlays:
  - clusterNames: [eu-1]
    values:
      list: {$append: [2]}
      gone: {$unset: true}
  - clusterNames: [eu-2]
    values: {a: 3}
`

func TestInputsLayers(t *testing.T) {
	given := external{"fleet ConfigMap web ": "gone: 1\nlow: 1\na: {y: 9}\n", "fleet ConfigMap web target.yaml": "low: 2\n", "fleet Secret token t": "s3cret"}
	bundle := parse(t, layered)
	plain, err := target.NewResolver()
	if err != nil {
		t.Fatal(err)
	}
	match, _, err := target.MatchBundle(bundle, nil, cluster())
	if err != nil {
		t.Fatal(err)
	}
	in, err := plain.With(given).Inputs(bundle, match, cluster())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"a": map[string]any{"x": int64(1), "y": int64(2)}, "list": []any{int64(1), int64(2)}, "bundle": "eu-1", "low": int64(2),
		"auth": map[string]any{"token": "s3cret"}}
	if diff := cmp.Diff(want, in.Values); diff != "" || !in.Secret {
		t.Errorf("secret %t\n%s", in.Secret, diff)
	}
	origins, err := plain.With(given).Explain(bundle, match, cluster())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, origin := range origins {
		text := origin.Path + " " + origin.Source
		for _, over := range origin.Overrode {
			text += " < " + over.Source
		}
		got = append(got, text)
		if origin.Secret && origin.Value != nil {
			t.Errorf("a Secret's value is shown: %+v", origin)
		}
	}
	file := "bundles/web/bundle.yaml:"
	wanted := []string{"a.x " + file + "7", "a.y " + file + "18 < " + file + `7 < ConfigMap "web", key values.yaml:3`, `auth.token Secret "token", key t`, "bundle " + file + "9",
		"gone " + file + `23 < ConfigMap "web", key values.yaml:1`, "list " + file + "22 < " + file + "8", `low ConfigMap "web", key target.yaml:1 < ConfigMap "web", key values.yaml:2`}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Error(diff)
	}
}

func TestValuesFromMistakes(t *testing.T) {
	cases := map[string]struct {
		reason   string
		external target.ExternalValues
		spec     string
		want     string
	}{
		"NoHub":     {reason: "Without a hub nobody follows a reference.", spec: "[{configMap: {name: a}}]", want: "not at hand"},
		"Missing":   {reason: "What is not there is named.", external: external{}, spec: "[{secret: {name: a, key: b}}]", want: `spec.valuesFrom[0]: for cluster "eu-1": there is no Secret "a", key b in namespace "fleet"`},
		"NoMapping": {reason: "Text needs a place, and is not shown.", external: external{"fleet Secret a ": "s3cret"}, spec: "[{secret: {name: a}}]", want: "its content is no mapping in YAML; give at"},
	}
	resolver, err := target.NewResolver()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bundle := parse(t, "  source: {helm: {chart: ./c}}\n  targets: [{clusterSelector: {}}]\n  valuesFrom: "+tc.spec+"\n")
			match, _, err := target.MatchBundle(bundle, nil, cluster())
			if err != nil {
				t.Fatal(err)
			}
			one := resolver
			if tc.external != nil {
				one = resolver.With(tc.external)
			}
			_, err = one.Inputs(bundle, match, cluster())
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s\ngot %v", tc.reason, err)
			}
		})
	}
}

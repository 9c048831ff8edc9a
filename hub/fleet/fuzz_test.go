package fleet_test

import (
	"slices"
	"testing"

	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/target/expr"
)

func FuzzParseBundle(f *testing.F) {
	evaluator, err := expr.New()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("apiVersion: fleet.periplus.dev/v1alpha1\n" + bundleFile))
	f.Add([]byte("apiVersion: fleet.periplus.dev/v1alpha1\nkind: Bundle\nmetadata: {name: x}\nspec:\n  source: {helm: {chart: ./c}}\n" +
		"  values: {a: \"${{ cluster.name }}\", b: null}\n  targets: [{name: a, clusterSelector: {}, ref: {tag: v1}, patches: [{patch: 'x'}]}]\n"))
	f.Add([]byte("apiVersion: fleet.periplus.dev/v1alpha1\nkind: Bundle\nmetadata: {name: x}\nspec:\n  source: {helm: {repository: 'https://x.example.com', name: a, version: ~1.2, secretRef: {name: s}, tests: true}}\n" +
		"  values: {a: {$set: {b: 1}}, c: {$unset: true}, d: {$append: [1]}, e: {$$set: 1}}\n  valuesFrom: [{configMap: {name: a, key: b.yaml}, at: /x, optional: true}, {secret: {name: s}}]\n" +
		"  annotations: {a/b: c}\n  decrypt: hub\n  generate: {once: [{kind: Secret, name: 'a*', pointers: [/data/a]}]}\n" +
		"  exclude: [{clusterNames: ['eu-*']}]\n  tolerations: [{key: a, operator: Exists, effect: NoSelectIfNew}]\n" +
		"  overlays: [{expression: 'cluster.name == \"a\"', values: {a: 1}}]\n  dependsOn: [{bundle: y, clusterSelector: {}}, {object: {kind: Job, name: j}}]\n" +
		"  targets: [{clusterSelector: {}, clusterGroup: g, propertySelector: {matchLabels: {class: a}}}]\n"))
	f.Add([]byte("apiVersion: fleet.periplus.dev/v1alpha1\nkind: Bundle\nmetadata: {name: x}\nspec:\n  source: {jsonnet: {path: a.jsonnet, importPaths: [../lib], valuesAs: TLAs}}\n" +
		"  targets: [{clusterNames: [a], source: {plugin: {name: p, path: ., config: {a: 1}}}}]\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("<<: {<<: [1]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		bundle, refused := fleet.ParseBundle("bundles/x/bundle.yaml", data, "fleet", evaluator)
		if len(refused) > 0 {
			return
		}
		matchers := bundle.Matchers
		if bundle.Key == "" || len(bundle.Spec.Targets) == 0 || len(matchers.Targets) != len(bundle.Spec.Targets) ||
			len(matchers.Overlays) != len(bundle.Spec.Overlays) || len(matchers.Exclude) != len(bundle.Spec.Exclude) {
			t.Errorf("an accepted bundle is whole: %+v", bundle)
		}
		for i, matcher := range slices.Concat(matchers.Targets, matchers.Overlays, matchers.Exclude) {
			if !matcher.Asks() {
				t.Errorf("matcher %d chooses nothing in particular", i)
			}
		}
		if _, err := bundle.Row("fleet/fleet"); err != nil {
			t.Error(err)
		}
	})
}

package fleet_test

import (
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
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("<<: {<<: [1]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		bundle, refused := fleet.ParseBundle("bundles/x/bundle.yaml", data, "fleet", evaluator)
		if len(refused) > 0 {
			return
		}
		if bundle.Key == "" || len(bundle.Spec.Targets) == 0 || len(bundle.Selectors) != len(bundle.Spec.Targets) {
			t.Errorf("an accepted bundle is whole: %+v", bundle)
		}
		for i, target := range bundle.Spec.Targets {
			if target.ClusterGroup == "" && bundle.Selectors[i] == nil {
				t.Errorf("target %d chooses nothing", i)
			}
		}
		if _, err := bundle.Row("fleet/fleet"); err != nil {
			t.Error(err)
		}
	})
}

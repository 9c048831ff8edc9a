package control

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
)

func TestDriftRulesReachTheAgent(t *testing.T) {
	match := v1alpha1.ObjectMatch{Group: "apps", Kind: "Deployment", Namespace: "x", Name: "a-*"}
	cases := map[string]struct {
		reason string
		rules  []v1alpha1.DriftIgnoreRule
		needs  bool
	}{
		"None":     {reason: "most bundles"},
		"Pointers": {reason: "every agent knows pointers", rules: []v1alpha1.DriftIgnoreRule{{ObjectMatch: match, Pointers: []string{"/spec/replicas"}}}},
		"Managers": {reason: "an agent that knows no managers would repair what they change", needs: true,
			rules: []v1alpha1.DriftIgnoreRule{{ObjectMatch: match, Pointers: []string{"/a"}}, {ObjectMatch: match, Managers: []string{"keda-*"}}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			out := options(v1alpha1.BundleSpec{Drift: v1alpha1.Drift{Ignore: c.rules}}, delivery.Key("fleet/a"))
			if namesManagers(out) != c.needs {
				t.Errorf("%s: needs is %v", c.reason, !c.needs)
			}
			var got []v1alpha1.DriftIgnoreRule
			for _, rule := range out.GetDriftIgnore() {
				got = append(got, back(rule))
			}
			if diff := cmp.Diff(c.rules, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func back(rule *linkv1.DriftIgnore) v1alpha1.DriftIgnoreRule {
	return v1alpha1.DriftIgnoreRule{Pointers: rule.GetPointers(), Managers: rule.GetManagers(),
		ObjectMatch: v1alpha1.ObjectMatch{Group: rule.GetGroup(), Kind: rule.GetKind(), Namespace: rule.GetNamespace(), Name: rule.GetName()}}
}

package fleet_test

import (
	"slices"
	"testing"
)

// TestForeignPolicies reads what people bring from Gatekeeper and conftest: whole folders, with tests and all that lies beside.
func TestForeignPolicies(t *testing.T) {
	gatekeeper := func(api, rest string) string { return "apiVersion: " + api + "\n" + rest }
	snapshot := read(t, files{
		"policies/a/template.yaml":               gatekeeper("templates.gatekeeper.sh/v1", "kind: ConstraintTemplate\nmetadata: {name: a, creationTimestamp: null}\n"),
		"policies/a/suite.yaml":                  gatekeeper("test.gatekeeper.sh/v1alpha1", "kind: Suite\ntests: []\n"),
		"policies/a/sync.yaml":                   gatekeeper("config.gatekeeper.sh/v1alpha1", "kind: Config\nmetadata: {name: config, namespace: gatekeeper-system}\n"),
		"policies/a/kustomization.yaml":          "resources: [template.yaml]\n",
		"policies/a/samples/one/constraint.yaml": gatekeeper("constraints.gatekeeper.sh/v1beta1", "kind: A\nmetadata: {name: one}\n"),
		"policies/a.yaml":                        gatekeeper("constraints.gatekeeper.sh/v1beta1", "kind: A\nmetadata: {name: with.dots}\n"),
		"policies/expand.yaml":                   gatekeeper("expansion.gatekeeper.sh/v1beta1", "kind: ExpansionTemplate\nmetadata: {name: e}\n"),
		"policies/conftest/a.rego":               "package main\n",
		"policies/data/a.yaml":                   "a: 1\n",
		"policies/data/b/b.json":                 "{\"b\": 1}",
		"policies/mutation.yaml":                 gatekeeper("mutations.gatekeeper.sh/v1", "kind: Assign\nmetadata: {name: m}\n"),
	}, "c1", nil)
	if len(snapshot.Refused) != 1 || snapshot.Refused[0].File != "policies/mutation.yaml" {
		t.Errorf("what is not read is refused by name, and nothing else, got %+v", snapshot.Refused)
	}
	var kinds, modules []string
	for _, g := range snapshot.Policies.Gatekeeper {
		kinds = append(kinds, g.Object["kind"].(string))
	}
	for _, m := range snapshot.Policies.Modules {
		modules = append(modules, m.Path)
	}
	slices.Sort(kinds)
	if !slices.Equal(kinds, []string{"A", "ConstraintTemplate", "ExpansionTemplate"}) {
		t.Errorf("got %v", kinds)
	}
	if !slices.Equal(modules, []string{"policies/conftest/a.rego", "policies/data/a.yaml", "policies/data/b/b.json"}) {
		t.Errorf("got %v", modules)
	}
}

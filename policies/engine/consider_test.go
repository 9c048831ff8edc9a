package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

func TestConsider(t *testing.T) {
	rego := func(name, more, body string) File {
		return File{Path: "policies/" + name + ".rego", Text: "# METADATA\n# title: x\n# custom:\n#   input: periplus\n" + more + "package " + name + "\n\n" + body + "\n"}
	}
	template := Manifest{Source: "policies/t.yaml:1", Object: map[string]any{"apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate",
		"metadata": map[string]any{"name": "k8sno"}, "spec": map[string]any{"crd": map[string]any{"spec": map[string]any{"names": map[string]any{"kind": "K8sNo"}}},
			"targets": []any{map[string]any{"target": gatekeeperTarget, "rego": "package k8sno\nviolation[{\"msg\": \"no\"}] { true }"}}}}}
	constraint := Manifest{Source: "policies/c.yaml:1", Object: map[string]any{"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "K8sNo",
		"metadata": map[string]any{"name": "elsewhere"}, "spec": map[string]any{"match": map[string]any{"excludedNamespaces": []any{"shop"},
			"kinds": []any{map[string]any{"apiGroups": []any{""}, "kinds": []any{"ConfigMap"}}}}}}}
	b := Binding{Source: "policies/b.yaml:3", PolicyBinding: v1alpha1.PolicyBinding{Spec: v1alpha1.PolicyBindingSpec{Policy: "fires", Action: v1alpha1.PolicyWarn}}}
	b.Metadata.Name = "soft"
	snapshot, refused := Load(Source{Gatekeeper: []Manifest{template, constraint}, Bindings: []Binding{b}, Modules: []File{
		rego("fires", "#   kinds: [ConfigMap]\n", `deny contains "wrong" if input.name == "c"`),
		rego("passes", "#   kinds: [ConfigMap]\n", `deny contains "wrong" if input.name == "d"`),
		rego("pods", "#   kinds: [Pod, Deployment.apps]\n", `deny contains "wrong"`),
		rego("later", "#   points: [audit]\n", `deny contains "wrong"`),
	}}, nil)
	if len(refused) > 0 {
		t.Fatal(refused)
	}
	reviewer, err := snapshot.Reviewer(Cluster{Name: "eu"}, "", PointGate, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	object, err := Prepare(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "c", "namespace": "shop"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	all, err := reviewer.Consider(t.Context(), object)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, one := range all {
		text := one.NotAsked
		for _, f := range one.Findings {
			text += f.Result + " by " + one.Effective.ActionFrom.Binding
		}
		got[one.Policy.Name] = text
	}
	for name, want := range map[string]string{
		"fires": "warn by soft", "passes": "", "pods": "it is about Pod, Deployment.apps, not about ConfigMap", "later": "it is asked at audit, not at gate",
		"k8sno/elsewhere": "its spec.match.excludedNamespaces does not cover the object",
	} {
		if said, there := got[name]; !there || said != want {
			t.Errorf("%s: got %q (there: %v), want %q", name, said, there, want)
		}
	}
	if len(got) != 5 {
		t.Errorf("every policy is considered: %s", strings.Join(sortedKeys(got), ", "))
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for key := range m {
		out = append(out, key)
	}
	return out
}

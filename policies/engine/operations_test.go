package engine

import (
	"context"
	"testing"
)

func TestOperations(t *testing.T) {
	template := ownerTemplate(t, violates)
	target, _ := dig(template.Object, []string{"spec"})["targets"].([]any)
	target[0].(map[string]any)["operations"] = []any{"DELETE"}
	s := load(t, Source{Gatekeeper: []Manifest{template, ownerConstraint(t, "{}")}})
	for operation, want := range map[string]int{"CREATE": 0, "DELETE": 1, "": 1} {
		o, err := PrepareAdmission(Admission{Object: object("v1", "ConfigMap", "c", nil), Operation: operation}, "")
		if err != nil {
			t.Fatal(err)
		}
		findings, err := mustReviewer(t, s, Cluster{}).Review(context.Background(), o, "", nil)
		if err != nil || len(findings) != want {
			t.Errorf("operation %q: want %d findings, got %+v, %v", operation, want, findings, err)
		}
	}
}

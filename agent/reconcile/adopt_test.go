package reconcile_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

func TestAdoptionPolicies(t *testing.T) {
	m := newMember(t)
	live := m.dynamic.Resource(configMaps).Namespace(m.space)
	helm := "meta.helm.sh/release-name: web, meta.helm.sh/release-namespace: shop,"
	make := func(name, policy, marks, data string) {
		_, err := live.Create(context.Background(), object(fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {app.kubernetes.io/managed-by: Helm}, annotations: {%s test/adopt: %s}}\ndata: {%s}\n", name, marks, policy, data)), metav1.CreateOptions{FieldManager: "helm"})
		m.must(err)
	}
	cases := map[string]struct {
		reason, policy, marks, data string
		// refused says why it is left; "" where it is taken over.
		refused string
	}{
		"never":      {reason: "the default", policy: "never", data: "key: '1'", refused: "not managed by us: "},
		"tool":       {reason: "two would fight over it", policy: "if-unowned", marks: helm, data: "key: '1'", refused: `managed by Helm release "shop/web"`},
		"equal":      {reason: "nothing changes but its marks", policy: "if-equal", marks: helm, data: "key: '1'"},
		"differs":    {reason: "another value", policy: "if-equal", data: "key: '2'", refused: "would change in data.key"},
		"more":       {reason: "a field that the tool set and the bundle does not would go", policy: "if-equal", data: "key: '1', more: x", refused: "would change in data.more"},
		"always":     {reason: "a person said so", policy: "always", marks: helm, data: "key: '2', more: x"},
		"unowned":    {reason: "nobody manages it", policy: "if-unowned", data: "key: '2'"},
		"unreleased": {reason: "the marks of a tool go with it", policy: "always", marks: helm, data: "key: '1'"},
	}
	for name, c := range cases {
		make(name, c.policy, c.marks, c.data)
		m.give("fleet/"+name, nil, optionMap(name, "1", "test/adopt: "+c.policy))
	}
	m.accept()
	for name, c := range cases {
		before := m.configMap(name)
		if c.refused != "" {
			status := m.says("fleet/"+name, linkv1.State_STATE_FAILED, c.refused)
			if status.GetExceptions()[0].GetState() != "conflict" || len(managers(before)) != 1 {
				t.Errorf("%s: %s: %v, managers %v", name, c.reason, status, managers(before))
			}
			continue
		}
		m.ready("fleet/" + name)
		got := m.configMap(name)
		if fmt.Sprint(got.Object["data"]) != "map[key:1]" || got.GetAnnotations()["meta.helm.sh/release-name"] != "" || strings.Join(managers(got), " ") != "periplus" {
			t.Errorf("%s: %s: it is %v of %v", name, c.reason, got.Object, managers(got))
		}
	}
	// A bundle of this cluster loses nothing to another, whatever that says.
	m.give("fleet/thief", nil, optionMap("always", "2", "test/adopt: always"))
	m.accept()
	m.says("fleet/thief", linkv1.State_STATE_FAILED, "belongs to bundle fleet/always")
}

func TestFieldThatKubectlAppliedGoesWithItsDeclaration(t *testing.T) {
	m := newMember(t)
	two := func(data string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: " + data + "\n"
	}
	m.give("fleet/a", nil, two("{key: '1', dropped: x}"))
	m.accept()
	m.ready("fleet/a")
	// Someone ran kubectl apply --server-side with the same file, and added something of their own.
	_, err := m.dynamic.Resource(configMaps).Namespace(m.space).Apply(context.Background(), "one", object(two("{key: '1', dropped: x, own: theirs}")), metav1.ApplyOptions{FieldManager: "kubectl"})
	m.must(err)
	// The watch shows events in their order: once this is repaired, the agent has seen the other.
	m.patch(configMaps, "one", `{"data":{"key":"drifted"}}`)
	m.event("fleet/a", "drift-repaired")
	m.give("fleet/a", nil, two("{key: '1'}"))
	m.accept()
	m.ready("fleet/a")
	m.eventually("the dropped field is gone", func() bool { return fmt.Sprint(m.configMap("one").Object["data"]) == "map[key:1 own:theirs]" })
}

package reconcile_test

import (
	"context"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

func TestDriftThatCannotBeUndoneIsMadeAnewWhereAsked(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, optionMap("anew", "1", "test/apply: replace"))
	m.give("fleet/b", nil, configMapYAML("stays", "1"))
	m.accept()
	m.ready("fleet/a")
	m.ready("fleet/b")
	uid := m.configMap("anew").GetUID()
	for _, name := range []string{"anew", "stays"} {
		// Whoever makes it immutable makes that it cannot be repaired.
		m.patch(configMaps, name, `{"immutable":true,"data":{"key":"drifted"}}`)
	}
	m.says("fleet/b", linkv1.State_STATE_FAILED, "field data")
	m.eventually("it is made anew", func() bool {
		return m.exists(configMaps, "anew") && m.configMap("anew").GetUID() != uid && m.value(configMaps, "anew", "data", "key") == "1"
	})
	if got := m.value(configMaps, "stays", "data", "key"); got != "drifted" {
		t.Errorf("what is not to be replaced is %v", got)
	}
	m.ready("fleet/a")
}

func TestDriftOfWhatWasAdopted(t *testing.T) {
	m := newMember(t)
	live := m.dynamic.Resource(configMaps).Namespace(m.space)
	_, err := live.Create(context.Background(), object("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: found, labels: {theirs: x}, annotations: {note: why}}\ndata: {key: '1', more: theirs}\n"),
		metav1.CreateOptions{FieldManager: "installer"})
	m.must(err)
	uid := m.configMap("found").GetUID()
	m.give("fleet/plain", nil, configMapYAML("found", "1"))
	m.accept()
	m.says("fleet/plain", linkv1.State_STATE_FAILED, "not managed by us")
	m.give("fleet/a", nil, optionMap("found", "1", "test/adopt: if-unowned"))
	m.accept()
	m.event("fleet/a", "adopted")
	m.ready("fleet/a")
	// What the bundle does not say of it stays.
	if got := m.configMap("found"); got.GetUID() != uid || got.GetLabels()["theirs"] != "x" || got.GetAnnotations()["note"] != "why" || m.value(configMaps, "found", "data", "more") != "theirs" {
		t.Errorf("it is %v", got)
	}
	// The bundle that came too late leaves it, also when it drifts.
	m.patch(configMaps, "found", `{"data":{"key":"drifted"},"metadata":{"labels":{"theirs":"z"}}}`)
	m.event("fleet/a", "drift-repaired")
	if got := m.configMap("found"); got.GetLabels()["theirs"] != "z" || m.value(configMaps, "found", "data", "key") != "1" {
		t.Errorf("after the repair it is %v", got)
	}
	if told := m.told("fleet/plain", "drift-repaired") + m.told("fleet/plain", "created"); told != 0 {
		t.Error("the other bundle wrote")
	}
	// What another copies of it, marks and all, is nobody's drift.
	copied := object(fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: copy, labels: {fleet.periplus.dev/managed: 'true'}, annotations: {fleet.periplus.dev/owner: 'fleet/a:/ConfigMap/%s/found'}}\ndata: {key: x}\n", m.space))
	_, err = live.Create(context.Background(), copied, metav1.CreateOptions{FieldManager: "copier"})
	m.must(err)
	m.must(live.Delete(context.Background(), "found", metav1.DeleteOptions{}))
	m.eventually("it is made anew", func() bool { return m.exists(configMaps, "found") })
	if m.value(configMaps, "copy", "data", "key") != "x" {
		t.Error("the copy was changed")
	}
}

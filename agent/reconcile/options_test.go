package reconcile_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// optionMap is a ConfigMap with an option.
func optionMap(name, value, option string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, annotations: {%s}}\ndata: {key: %q}\n", name, option, value)
}

func TestPruneNever(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"), optionMap("kept", "1", "test/prune: never"), optionMap("too", "1", "test/prune: never"))
	m.accept()
	m.ready("fleet/a")
	uid := m.configMap("kept").GetUID()
	m.give("fleet/a", nil, configMapYAML("one", "1"), optionMap("too", "1", "test/prune: never"))
	m.accept()
	m.ready("fleet/a")
	m.eventually("its record is gone", func() bool { return len(m.inventory.Get("fleet/a").Records) == 2 })
	m.bury("fleet/a", &linkv1.Tombstone{})
	m.accept()
	m.gone("fleet/a")
	if !m.hasConfigMap("kept") || !m.hasConfigMap("too") || m.hasConfigMap("one") {
		t.Error("what is kept went, or what is not stayed")
	}
	// Another bundle takes it over only if it says so.
	m.give("fleet/b", nil, configMapYAML("too", "b"))
	m.accept()
	m.says("fleet/b", linkv1.State_STATE_FAILED, "belongs to bundle fleet/a")
	m.give("fleet/b", nil, optionMap("too", "b", "test/adopt: if-unowned"))
	m.set.Tombstones = nil
	m.accept()
	m.ready("fleet/b")
	// It comes back to its bundle as it is.
	m.give("fleet/a", nil, optionMap("kept", "2", "test/prune: never"))
	m.accept()
	m.ready("fleet/a")
	if m.configMap("kept").GetUID() != uid || m.valueOf("kept") != "2" {
		t.Errorf("kept is %v", m.configMap("kept"))
	}
}

func TestApplyOptions(t *testing.T) {
	m := newMember(t)
	ctx := context.Background()
	bundle := func(value string) []string {
		return []string{optionMap("create", value, "test/apply: create-only"), optionMap("ignored", value, "test/apply: ignore"), configMapYAML("plain", value)}
	}
	m.give("fleet/a", nil, bundle("1")...)
	m.accept()
	m.ready("fleet/a")
	if m.hasConfigMap("ignored") || m.valueOf("create") != "1" {
		t.Error("what is ignored was made, or what is created was not")
	}
	m.give("fleet/a", nil, bundle("2")...)
	m.accept()
	m.ready("fleet/a")
	m.patch(configMaps, "create", `{"data":{"key":"mine"}}`)
	m.patch(configMaps, "plain", `{"data":{"key":"drifted"}}`)
	m.event("fleet/a", "drift-repaired")
	if m.valueOf("create") != "mine" || m.valueOf("plain") != "2" {
		t.Errorf("create is %v, plain %v", m.valueOf("create"), m.valueOf("plain"))
	}
	m.must(m.client.CoreV1().ConfigMaps(m.space).Delete(ctx, "create", metav1.DeleteOptions{}))
	m.event("fleet/a", "recreated")
	if m.valueOf("create") != "2" {
		t.Errorf("made anew it is %v", m.valueOf("create"))
	}
}

func TestReplaceMakesImmutableFieldsAnew(t *testing.T) {
	m := newMember(t)
	replaced := strings.Replace(deploymentYAML("app"), "{name: app}", "{name: app, annotations: {test/apply: replace}}", 1)
	m.give("fleet/a", nil, replaced)
	m.accept()
	m.applied("fleet/a")
	uid := func() types.UID {
		live, err := m.dynamic.Resource(deployments).Namespace(m.space).Get(context.Background(), "app", metav1.GetOptions{})
		m.must(err)
		return live.GetUID()
	}
	before := uid()
	// What is plainly wrong is no reason to replace anything.
	m.give("fleet/a", nil, strings.ReplaceAll(replaced, "containerPort: 80", "containerPort: 99999"))
	m.accept()
	m.says("fleet/a", linkv1.State_STATE_FAILED, "containerPort")
	if uid() != before {
		t.Error("it was replaced for a validation error")
	}
	m.give("fleet/a", nil, strings.ReplaceAll(replaced, "{app: app}", "{app: other}"))
	m.accept()
	m.applied("fleet/a")
	if uid() == before {
		t.Error("it was not replaced")
	}
}

func TestAdoptTakesOverWithItsFields(t *testing.T) {
	m := newMember(t)
	ctx := context.Background()
	live := m.dynamic.Resource(configMaps).Namespace(m.space)
	// One that kubectl made, one that another GitOps tool applied.
	_, err := live.Create(ctx, object("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old}\ndata: {key: theirs, more: theirs}\n"), metav1.CreateOptions{FieldManager: "kubectl-client-side-apply"})
	m.must(err)
	_, err = live.Apply(ctx, "flux", object("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: flux}\ndata: {key: theirs, more: theirs}\n"), metav1.ApplyOptions{FieldManager: "kustomize-controller"})
	m.must(err)
	m.patchCreate("taken", "theirs")
	uid := m.configMap("old").GetUID()
	m.patch(configMaps, "old", `{"data":{"controller":"its"}}`)
	m.give("fleet/other", nil, configMapYAML("owned", "1"))
	m.accept()
	m.ready("fleet/other")
	m.give("fleet/a", nil, optionMap("old", "ours", "test/adopt: if-unowned"), optionMap("flux", "ours", "test/adopt: if-unowned"), optionMap("owned", "ours", "test/adopt: if-unowned"))
	m.accept()
	m.says("fleet/a", linkv1.State_STATE_FAILED, "owned: conflict: it belongs to bundle fleet/other")
	m.event("fleet/a", "adopted")
	for name, want := range map[string]string{"old": "map[controller:its key:ours]", "flux": "map[key:ours]"} {
		if got := m.configMap(name); fmt.Sprint(got.Object["data"]) != want || len(managers(got)) > 2 {
			t.Errorf("%s is %v of %v, want %s", name, got.Object["data"], managers(got), want)
		}
	}
	if m.configMap("old").GetUID() != uid {
		t.Error("it was made anew")
	}
	// From then on it is the bundle's: drift is repaired.
	m.patch(configMaps, "flux", `{"data":{"key":"drifted"}}`)
	m.event("fleet/a", "drift-repaired")
}

func managers(live *unstructured.Unstructured) []string {
	var names []string
	for _, entry := range live.GetManagedFields() {
		names = append(names, entry.Manager)
	}
	return names
}

func TestPruneAlwaysAsksNobody(t *testing.T) {
	m := newMember(t)
	claim := func(name, option string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: %s, annotations: {%s}}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n", name, option)
	}
	m.give("fleet/a", nil, claim("scratch", "test/prune: always"), claim("data", "test/nothing: x"), configMapYAML("one", "1"))
	m.accept()
	m.applied("fleet/a")
	m.give("fleet/a", nil, configMapYAML("one", "1"))
	m.accept()
	m.says("fleet/a", linkv1.State_STATE_PROGRESSING, "scratch: is being deleted")
	// Nobody in the tests' cluster says that no pod uses it any more.
	m.patch(schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}, "scratch", `{"metadata":{"finalizers":null}}`)
	status := m.await("fleet/a", linkv1.State_STATE_HELD)
	if held := status.GetPruneHold(); held.GetObjects() != 1 || held.GetExamples()[0].GetName() != "data" {
		t.Errorf("held is %v", held)
	}
}

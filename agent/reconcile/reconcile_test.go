package reconcile_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

func configMapYAML(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {key: %q}\n", name, value)
}

func TestApplyChangePrune(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"), configMapYAML("two", "2"))
	m.accept()
	status := m.ready("fleet/a")
	if counts := status.GetCounts(); counts.GetObjects() != 2 || counts.GetReady() != 2 || status.GetAppliedRevision() != status.GetRevision() {
		t.Errorf("status is %v", status)
	}
	live := m.configMap("one")
	want := "fleet/a:/ConfigMap/" + m.space + "/one"
	if got := live.GetAnnotations()["fleet.periplus.dev/owner"]; got != want {
		t.Errorf("owner is %q, want %q", got, want)
	}

	m.give("fleet/a", nil, configMapYAML("one", "changed"))
	m.accept()
	status = m.ready("fleet/a")
	if status.GetCounts().GetObjects() != 1 {
		t.Errorf("status is %v", status)
	}
	m.event("fleet/a", "pruned")
	_, err := m.client.CoreV1().ConfigMaps(m.space).Get(context.Background(), "two", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("two is still there: %v", err)
	}
	if got := m.configMap("one"); got.GetUID() != live.GetUID() || got.Object["data"].(map[string]any)["key"] != "changed" {
		t.Errorf("one is %v", got)
	}
}

func TestRestartWritesNothing(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"), deploymentYAML("app"))
	m.give("fleet/b", nil, configMapYAML("two", "2"))
	m.accept()
	m.ready("fleet/b")
	m.hub.wait(t, "fleet/a is applied", func(l *listener) *linkv1.BundleStatus {
		if s := l.statuses["fleet/a"]; s.GetCounts().GetApplied() == 2 && s.GetAppliedRevision() != "" {
			return s
		}
		return nil
	})
	m.stop()
	m.written()
	m.start()
	m.ready("fleet/b")
	m.await("fleet/a", linkv1.State_STATE_PROGRESSING)
	if writes := m.written(); len(writes) > 0 {
		t.Errorf("a restart wrote %v", writes)
	}
}

func deploymentYAML(name string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata: {name: ` + name + `}
spec:
  replicas: 1
  selector: {matchLabels: {app: ` + name + `}}
  template:
    metadata: {labels: {app: ` + name + `}}
    spec:
      containers:
      - {name: main, image: registry.example/app:1, resources: {limits: {cpu: 1000m}}, ports: [{containerPort: 80}]}
`
}

func TestDriftIsRepaired(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"), deploymentYAML("app"))
	m.accept()
	m.event("fleet/a", "created")
	m.hub.wait(t, "fleet/a is applied", func(l *listener) *linkv1.BundleStatus {
		if s := l.statuses["fleet/a"]; s.GetCounts().GetApplied() == 2 && s.GetAppliedRevision() != "" {
			return s
		}
		return nil
	})
	m.written()
	m.patch(configMaps, "one", `{"data":{"other":"mine"}}`)
	m.patch(configMaps, "one", `{"data":{"key":"drifted"}}`)
	start := time.Now()
	m.eventually("drift is repaired", func() bool { return m.configMap("one").Object["data"].(map[string]any)["key"] == "1" })
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("the repair took %s", took)
	}
	event := m.event("fleet/a", "drift-repaired")
	if !strings.Contains(event.GetMessage(), "somebody") {
		t.Errorf("event is %v", event)
	}
	if got := m.configMap("one").Object["data"].(map[string]any)["other"]; got != "mine" {
		t.Errorf("another's field is %v", got)
	}
	if writes := m.written(); len(writes) != 1 {
		t.Errorf("the repair wrote %v", writes)
	}

	before := m.configMap("one").GetUID()
	m.must(m.client.CoreV1().ConfigMaps(m.space).Delete(context.Background(), "one", metav1.DeleteOptions{}))
	m.event("fleet/a", "recreated")
	if after := m.configMap("one").GetUID(); after == before {
		t.Error("one was not made anew")
	}
}

func TestLostLabelIsDrift(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"))
	m.accept()
	m.ready("fleet/a")
	uid := m.configMap("one").GetUID()
	m.patch(configMaps, "one", `{"metadata":{"labels":null}}`)
	m.event("fleet/a", "drift-repaired")
	live := m.configMap("one")
	if live.GetLabels()["fleet.periplus.dev/managed"] != "true" || live.GetUID() != uid {
		t.Errorf("one is %v", live)
	}
}

func TestMoveKeepsUID(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"), configMapYAML("moves", "1"))
	m.give("fleet/b", nil, configMapYAML("two", "2"))
	m.accept()
	m.ready("fleet/a")
	m.ready("fleet/b")
	before := m.configMap("moves").GetUID()
	m.give("fleet/a", nil, configMapYAML("one", "1"))
	m.give("fleet/b", nil, configMapYAML("two", "2"), configMapYAML("moves", "2"))
	m.accept()
	m.ready("fleet/b")
	m.event("fleet/b", "handed-over")
	m.ready("fleet/a")
	m.eventually("fleet/a lets go", func() bool { return len(m.inventory.Get("fleet/a").Records) == 1 })
	live := m.configMap("moves")
	if live.GetUID() != before || live.Object["data"].(map[string]any)["key"] != "2" {
		t.Errorf("moves is %v", live)
	}
}

func TestMoveFromRemovedBundleKeepsUID(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("moves", "1"), configMapYAML("goes", "1"))
	m.accept()
	m.ready("fleet/a")
	before := m.configMap("moves").GetUID()
	m.bury("fleet/a", &linkv1.Tombstone{})
	m.give("fleet/b", nil, configMapYAML("moves", "1"))
	m.accept()
	m.ready("fleet/b")
	m.gone("fleet/a")
	if after := m.configMap("moves").GetUID(); after != before {
		t.Errorf("moves has UID %s, had %s", after, before)
	}
	if _, err := m.client.CoreV1().ConfigMaps(m.space).Get(context.Background(), "goes", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("goes is still there: %v", err)
	}
}

func TestForeignObjectIsLeft(t *testing.T) {
	m := newMember(t)
	ctx := context.Background()
	m.patchCreate("taken", "theirs")
	m.give("fleet/a", nil, configMapYAML("taken", "ours"), configMapYAML("free", "1"))
	m.accept()
	status := m.await("fleet/a", linkv1.State_STATE_FAILED)
	if status.GetExceptions()[0].GetState() != "conflict" || !strings.Contains(status.GetMessage(), "exists and is not managed by us") {
		t.Errorf("status is %v", status)
	}
	if got := m.configMap("taken"); got.Object["data"].(map[string]any)["key"] != "theirs" || got.GetLabels() != nil {
		t.Errorf("taken is %v", got)
	}
	m.configMap("free")
	m.bury("fleet/a", &linkv1.Tombstone{})
	m.accept()
	m.gone("fleet/a")
	if _, err := m.client.CoreV1().ConfigMaps(m.space).Get(ctx, "taken", metav1.GetOptions{}); err != nil {
		t.Errorf("taken: %v", err)
	}
}

func TestReplacedObjectIsNotDeleted(t *testing.T) {
	m := newMember(t)
	ctx := context.Background()
	m.give("fleet/a", nil, configMapYAML("one", "1"))
	m.accept()
	m.ready("fleet/a")
	m.stop()
	m.must(m.client.CoreV1().ConfigMaps(m.space).Delete(ctx, "one", metav1.DeleteOptions{}))
	m.patchCreate("one", "theirs")
	m.start()
	status := m.await("fleet/a", linkv1.State_STATE_FAILED)
	if !strings.Contains(status.GetMessage(), "replaced by another object") {
		t.Errorf("status is %v", status)
	}
	m.bury("fleet/a", &linkv1.Tombstone{})
	m.accept()
	m.gone("fleet/a")
	if got := m.configMap("one").Object["data"].(map[string]any)["key"]; got != "theirs" {
		t.Errorf("one is %v", got)
	}
}

func TestTwoBundlesOneObject(t *testing.T) {
	m := newMember(t)
	m.give("fleet/old", nil, configMapYAML("shared", "old"))
	m.accept()
	m.ready("fleet/old")
	m.give("fleet/new", nil, configMapYAML("shared", "new"), configMapYAML("own", "1"))
	m.accept()
	status := m.await("fleet/new", linkv1.State_STATE_FAILED)
	if !strings.Contains(status.GetMessage(), "belongs to bundle fleet/old") {
		t.Errorf("status is %v", status)
	}
	m.configMap("own")
	if got := m.configMap("shared").Object["data"].(map[string]any)["key"]; got != "old" {
		t.Errorf("shared is %v", got)
	}
	uid := m.configMap("shared").GetUID()
	m.bury("fleet/old", &linkv1.Tombstone{})
	m.accept()
	m.ready("fleet/new")
	m.gone("fleet/old")
	if got := m.configMap("shared"); got.Object["data"].(map[string]any)["key"] != "new" || got.GetUID() != uid {
		t.Errorf("shared is %v", got)
	}
}

func TestNamespaceAndCRDAndItsObjects(t *testing.T) {
	m := newMember(t)
	group := m.space + ".example"
	m.give("fleet/a", nil, crdYAML(group), "apiVersion: "+group+"/v1\nkind: Widget\nmetadata: {name: w, namespace: "+m.space+"-x}\nspec: {size: 3}",
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: "+m.space+"-x}", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: "+m.space+"-x}")
	m.accept()
	m.ready("fleet/a")
	// All of it is the bundle's own, so nothing is precious, and all of it goes in order.
	m.bury("fleet/a", &linkv1.Tombstone{})
	m.accept()
	m.gone("fleet/a")
}

func crdYAML(group string) string {
	return `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.` + group + `}
spec:
  group: ` + group + `
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
`
}

func TestOneBadObjectStopsNoOther(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("good", "1"),
		"apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 99999}]}",
		"apiVersion: none.example/v1\nkind: Nothing\nmetadata: {name: unknown}")
	m.accept()
	status := m.await("fleet/a", linkv1.State_STATE_FAILED)
	if status.GetCounts().GetFailed() != 2 || status.GetCounts().GetApplied() != 1 {
		t.Errorf("status is %v", status)
	}
	m.configMap("good")
	if status.GetAppliedRevision() != "" {
		t.Error("a revision with failures counts as applied")
	}
}

func TestForbiddenSaysWhatIsMissing(t *testing.T) {
	m := newMember(t)
	m.tenant("weak", "view")
	m.give("fleet/a", &linkv1.Options{ServiceAccountName: "weak"}, configMapYAML("one", "1"))
	m.accept()
	status := m.await("fleet/a", linkv1.State_STATE_FAILED)
	for _, want := range []string{`ServiceAccount "weak" may not patch configmaps in namespace`, "tenants[namespace=fleet]"} {
		if !strings.Contains(status.GetMessage(), want) {
			t.Errorf("message %q does not say %q", status.GetMessage(), want)
		}
	}
}

func TestImmutableFieldIsNamed(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, deploymentYAML("app"))
	m.accept()
	m.event("fleet/a", "created")
	m.give("fleet/a", nil, strings.ReplaceAll(deploymentYAML("app"), "{app: app}", "{app: other}"))
	m.accept()
	status := m.await("fleet/a", linkv1.State_STATE_FAILED)
	if !strings.Contains(status.GetMessage(), "immutable field spec.selector") {
		t.Errorf("message is %q", status.GetMessage())
	}
}

func TestPruneBudgetAndConfirmation(t *testing.T) {
	m := newMember(t)
	var all []string
	for i := range 14 {
		all = append(all, configMapYAML(fmt.Sprintf("c%d", i), "1"))
	}
	m.give("fleet/a", nil, all...)
	m.accept()
	m.ready("fleet/a")
	m.give("fleet/a", nil, all[:2]...)
	m.accept()
	status := m.await("fleet/a", linkv1.State_STATE_HELD)
	hold := status.GetPruneHold()
	if hold.GetObjects() != 12 || hold.GetBudget() != 10 || hold.GetId() == "" {
		t.Errorf("hold is %v", hold)
	}
	m.configMap("c13")
	ctx := context.Background()
	if err := m.reconciler.Do(ctx, &linkv1.Command{Command: &linkv1.Command_ConfirmPrune{
		ConfirmPrune: &linkv1.ConfirmPrune{Bundle: "fleet/a", HoldId: "another"}}}); err == nil {
		t.Error("another hold was confirmed")
	}
	m.must(m.reconciler.Do(ctx, &linkv1.Command{Command: &linkv1.Command_ConfirmPrune{
		ConfirmPrune: &linkv1.ConfirmPrune{Bundle: "fleet/a", HoldId: hold.GetId()}}}))
	m.ready("fleet/a")
	if records := m.inventory.Get("fleet/a").Records; len(records) != 2 {
		t.Errorf("inventory is %v", records)
	}
}

// patchCreate makes a ConfigMap as somebody else.
func (m *member) patchCreate(name, value string) {
	m.t.Helper()
	live := m.dynamic.Resource(configMaps).Namespace(m.space)
	_, err := live.Create(context.Background(), object(configMapYAML(name, value)), metav1.CreateOptions{FieldManager: "somebody"})
	m.must(err)
}

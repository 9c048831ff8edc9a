package reconcile_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

var deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}

// applied waits until all objects of a bundle's revision are applied, ready or not.
func (m *member) applied(name string) *linkv1.BundleStatus {
	m.t.Helper()
	revision := m.set.Entries[name].GetRevision()
	return m.hub.wait(m.t, name+" is applied", func(l *listener) *linkv1.BundleStatus {
		if s := l.statuses[name]; s.GetAppliedRevision() == revision && s.GetRevision() == revision && s.GetState() != linkv1.State_STATE_APPLYING {
			return s
		}
		return nil
	})
}

func TestIgnoredFieldIsLeftToOthers(t *testing.T) {
	m := newMember(t)
	options := &linkv1.Options{DriftIgnore: []*linkv1.DriftIgnore{{Kind: "Deployment", Pointers: []string{"/spec/replicas"}}}}
	m.give("fleet/a", options, deploymentYAML("app"), configMapYAML("one", "1"))
	m.accept()
	m.applied("fleet/a")
	m.written()
	m.patch(deployments, "app", `{"spec":{"replicas":5}}`)
	m.patch(configMaps, "one", `{"data":{"key":"drifted"}}`)
	m.event("fleet/a", "drift-repaired")
	replicas := func() any {
		live, err := m.dynamic.Resource(deployments).Namespace(m.space).Get(context.Background(), "app", metav1.GetOptions{})
		m.must(err)
		return live.Object["spec"].(map[string]any)["replicas"]
	}
	if got := replicas(); got != int64(5) {
		t.Errorf("replicas are %v", got)
	}
	if writes := m.written(); len(writes) != 1 {
		t.Errorf("wrote %v", writes)
	}
	// New content neither takes the field back nor removes it.
	m.give("fleet/a", options, strings.ReplaceAll(strings.ReplaceAll(deploymentYAML("app"), "app:1", "app:2"), "replicas: 1", "replicas: 2"), configMapYAML("one", "1"))
	m.accept()
	m.applied("fleet/a")
	if got := replicas(); got != int64(5) {
		t.Errorf("after new content replicas are %v", got)
	}
}

func TestDriftIsOnlyReported(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", &linkv1.Options{DriftMode: "Report"}, configMapYAML("one", "1"), configMapYAML("two", "2"))
	m.accept()
	m.ready("fleet/a")
	m.written()
	m.patch(configMaps, "one", `{"data":{"key":"drifted"}}`)
	m.event("fleet/a", "drift-reported")
	m.must(m.client.CoreV1().ConfigMaps(m.space).Delete(context.Background(), "two", metav1.DeleteOptions{}))
	status := m.hub.wait(t, "both are told", func(l *listener) *linkv1.BundleStatus {
		if s := l.statuses["fleet/a"]; s.GetCounts().GetDrifted() == 2 {
			return s
		}
		return nil
	})
	states := map[string]bool{}
	for _, exception := range status.GetExceptions() {
		states[exception.GetState()] = true
	}
	if !states["drifted"] || !states["missing"] {
		t.Errorf("exceptions are %v", status.GetExceptions())
	}
	if writes := m.written(); len(writes) != 0 {
		t.Errorf("wrote %v", writes)
	}
}

func TestDependency(t *testing.T) {
	m := newMember(t)
	m.give("fleet/late", &linkv1.Options{DependsOn: []string{"fleet/first"}}, configMapYAML("late", "1"))
	m.accept()
	status := m.await("fleet/late", linkv1.State_STATE_WAITING)
	if !strings.Contains(status.GetMessage(), "fleet/first") {
		t.Errorf("status is %v", status)
	}
	m.give("fleet/first", nil, configMapYAML("first", "1"))
	m.accept()
	m.ready("fleet/first")
	m.ready("fleet/late")
}

func TestRelearningRemovesNothing(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"), configMapYAML("two", "2"))
	m.give("fleet/b", nil, configMapYAML("three", "3"))
	m.accept()
	m.ready("fleet/a")
	m.ready("fleet/b")
	m.set.Relearning = true
	m.give("fleet/a", nil, configMapYAML("one", "1"))
	m.bury("fleet/b", &linkv1.Tombstone{})
	m.accept()
	m.patch(configMaps, "one", `{"data":{"key":"drifted"}}`)
	m.event("fleet/a", "drift-repaired")
	m.configMap("two")
	m.configMap("three")
	m.set.Relearning = false
	m.accept()
	m.gone("fleet/b")
	m.eventually("two is pruned", func() bool {
		_, err := m.client.CoreV1().ConfigMaps(m.space).Get(context.Background(), "two", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func TestUnsettledRecordIsResolvedAtStart(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"))
	m.accept()
	m.ready("fleet/a")
	uid := m.configMap("one").GetUID()
	// The agent dies after the apply and before it wrote the UID down.
	m.stop()
	inv := m.inventory.Get("fleet/a")
	for id, record := range inv.Records {
		record.UID, record.Digest, record.Fields = "", "", ""
		inv.Records[id] = record
	}
	inv.Revision = ""
	m.must(m.inventory.Save(context.Background(), inv))
	m.start()
	m.ready("fleet/a")
	if after := m.configMap("one").GetUID(); after != uid {
		t.Errorf("one was made anew")
	}
	record := m.inventory.Get("fleet/a").Records[content.ObjectID{Kind: "ConfigMap", Namespace: m.space, Name: "one"}]
	if record.UID != string(uid) {
		t.Errorf("record is %v", record)
	}
}

func TestPreciousObjectsWaitForAPerson(t *testing.T) {
	m := newMember(t)
	group, other := m.space+".example", m.space+"-x"
	widget := "apiVersion: " + group + "/v1\nkind: Widget\nmetadata: {name: %, namespace: SPACE}\nspec: {size: 3}"
	claim := "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}"
	m.give("fleet/a", nil, configMapYAML("one", "1"), crdYAML(group), claim,
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: "+other+"}", strings.ReplaceAll(widget, "%", "own"))
	m.accept()
	m.applied("fleet/a")
	widgets := schema.GroupVersionResource{Group: group, Version: "v1", Resource: "widgets"}
	_, err := m.dynamic.Resource(widgets).Namespace(m.space).Create(context.Background(),
		object(strings.ReplaceAll(strings.ReplaceAll(widget, "%", "theirs"), "SPACE", m.space)), metav1.CreateOptions{})
	m.must(err)
	_, err = m.client.CoreV1().ConfigMaps(other).Create(context.Background(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}}, metav1.CreateOptions{})
	m.must(err)
	m.give("fleet/a", nil, configMapYAML("one", "1"))
	m.accept()
	status := m.hub.wait(t, "three are held", func(l *listener) *linkv1.BundleStatus {
		if s := l.statuses["fleet/a"]; s.GetPruneHold().GetObjects() == 3 && s.GetState() == linkv1.State_STATE_HELD {
			return s
		}
		return nil
	})
	_, err = m.dynamic.Resource(widgets).Namespace(m.space).Get(context.Background(), "own", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the bundle's own instance is still there: %v", err)
	}
	m.must(m.reconciler.Do(context.Background(), &linkv1.Command{Command: &linkv1.Command_ConfirmPrune{
		ConfirmPrune: &linkv1.ConfirmPrune{Bundle: "fleet/a", HoldId: status.GetPruneHold().GetId()}}}))
	// No controller of this server takes the protection off a claim.
	m.patch(schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}, "data", `{"metadata":{"finalizers":null}}`)
	m.eventually("all is gone", func() bool { return len(m.inventory.Get("fleet/a").Records) == 1 })
	m.ready("fleet/a")
}

func TestFinalizerIsNamed(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"), configMapYAML("two", "2"))
	m.accept()
	m.ready("fleet/a")
	m.patch(configMaps, "two", `{"metadata":{"finalizers":["example.org/hold"]}}`)
	m.give("fleet/a", nil, configMapYAML("one", "1"))
	m.accept()
	m.hub.wait(t, "the finalizer is named", func(l *listener) *linkv1.BundleStatus {
		if s := l.statuses["fleet/a"]; strings.Contains(s.GetMessage(), "example.org/hold") {
			return s
		}
		return nil
	})
	m.patch(configMaps, "two", `{"metadata":{"finalizers":null}}`)
	m.ready("fleet/a")
}

func TestOrphanLeavesObjects(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"))
	m.accept()
	m.ready("fleet/a")
	uid := m.configMap("one").GetUID()
	m.bury("fleet/a", &linkv1.Tombstone{Orphan: true})
	m.accept()
	m.gone("fleet/a")
	if m.configMap("one").GetUID() != uid || len(m.inventory.Bundles()) != 0 {
		t.Errorf("inventory is %v", m.inventory.Bundles())
	}
}

func TestTenantOfOneNamespace(t *testing.T) {
	m := newMember(t)
	ctx := context.Background()
	m.tenant("narrow", "")
	_, err := m.client.RbacV1().RoleBindings(m.space).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "narrow"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: m.namespace, Name: "narrow"}}}, metav1.CreateOptions{})
	m.must(err)
	m.give("fleet/a", &linkv1.Options{ServiceAccountName: "narrow"}, configMapYAML("one", "1"))
	m.accept()
	m.ready("fleet/a")
	m.patch(configMaps, "one", `{"data":{"key":"drifted"}}`)
	m.event("fleet/a", "drift-repaired")
	m.restart()
	m.ready("fleet/a")
	m.patch(configMaps, "one", `{"data":{"key":"drifted"}}`)
	m.event("fleet/a", "drift-repaired")
}

func TestCRDOfAnotherBundleComesLate(t *testing.T) {
	m := newMember(t)
	group := m.space + ".example"
	m.give("fleet/a", nil, "apiVersion: "+group+"/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: 3}")
	m.accept()
	status := m.await("fleet/a", linkv1.State_STATE_FAILED)
	if !strings.Contains(status.GetMessage(), "is not served") {
		t.Errorf("status is %v", status)
	}
	m.give("fleet/crd", nil, crdYAML(group))
	m.accept()
	m.ready("fleet/a")
}

func TestJobIsReadyWhenItCompleted(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, "apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec:\n  template:\n    spec: {restartPolicy: Never, containers: [{name: main, image: x}]}")
	m.accept()
	status := m.applied("fleet/a")
	if status.GetState() != linkv1.State_STATE_PROGRESSING {
		t.Errorf("status is %v", status)
	}
	now := metav1.Now().UTC().Format("2006-01-02T15:04:05Z")
	patch := `{"status":{"startTime":"` + now + `","completionTime":"` + now + `","succeeded":1,"conditions":[
		{"type":"SuccessCriteriaMet","status":"True","lastTransitionTime":"` + now + `"},{"type":"Complete","status":"True","lastTransitionTime":"` + now + `"}]}}`
	_, err := m.client.BatchV1().Jobs(m.space).Patch(context.Background(), "once", types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	m.must(err)
	m.ready("fleet/a")
}

func TestInventoryIsWrittenAhead(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"))
	m.written()
	m.accept()
	m.ready("fleet/a")
	var order []string
	for _, write := range m.written() {
		switch {
		case strings.Contains(write, "periplus-inventory") || strings.HasPrefix(write, "POST") && strings.HasSuffix(write, "/secrets"):
			order = append(order, "inventory")
		case strings.HasPrefix(write, "PATCH"):
			order = append(order, "apply")
		}
	}
	apply := strings.Join(order, " ")
	before, after, _ := strings.Cut(apply, "apply")
	if !strings.Contains(before, "inventory") || !strings.Contains(after, "inventory") {
		t.Errorf("writes are %v", order)
	}
	if _, _, owned := m.inventory.Owner(content.ObjectID{Kind: "ConfigMap", Namespace: m.space, Name: "one"}); !owned {
		t.Error("nobody owns the object")
	}
}

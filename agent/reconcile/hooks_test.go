package reconcile_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"google.golang.org/protobuf/types/known/durationpb"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// hookYAML is a Job that is a hook; more annotations follow as "name: value".
func hookYAML(name, events string, more ...string) string {
	text := "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: " + name + "\n  annotations:\n    helm.sh/hook: " + events + "\n"
	for _, annotation := range more {
		text += "    " + annotation + "\n"
	}
	return text + "spec:\n  backoffLimit: 0\n  template:\n    spec: {restartPolicy: Never, containers: [{name: main, image: x}]}\n"
}

// job waits until a Job is there, other than the one with a UID.
func (m *member) job(name string, but types.UID) *batchv1.Job {
	m.t.Helper()
	var found *batchv1.Job
	m.eventually("Job "+name+" is there", func() bool {
		job, err := m.client.BatchV1().Jobs(m.space).Get(context.Background(), name, metav1.GetOptions{})
		found = job
		return err == nil && job.GetUID() != but && job.GetDeletionTimestamp() == nil
	})
	return found
}

func (m *member) noJob(name string) bool {
	_, err := m.client.BatchV1().Jobs(m.space).Get(context.Background(), name, metav1.GetOptions{})
	return apierrors.IsNotFound(err)
}

// finish plays the Job controller.
func (m *member) finish(name string, ok bool) {
	m.t.Helper()
	now := metav1.Now().UTC().Format("2006-01-02T15:04:05Z")
	condition := func(kind string) string {
		return `{"type":"` + kind + `","status":"True","lastTransitionTime":"` + now + `","reason":"Tested","message":"as the test wants"}`
	}
	patch := `{"status":{"startTime":"` + now + `","completionTime":"` + now + `","succeeded":1,"conditions":[` + condition("SuccessCriteriaMet") + `,` + condition("Complete") + `]}}`
	if !ok {
		patch = `{"status":{"startTime":"` + now + `","failed":1,"conditions":[` + condition("FailureTarget") + `,` + condition("Failed") + `]}}`
	}
	_, err := m.client.BatchV1().Jobs(m.space).Patch(context.Background(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	m.must(err)
}

// says waits until a bundle's status has a state and a message with some text.
func (m *member) says(name string, state linkv1.State, text string) *linkv1.BundleStatus {
	m.t.Helper()
	return m.hub.wait(m.t, fmt.Sprintf("%s is %s: %s", name, state, text), func(l *listener) *linkv1.BundleStatus {
		if status := l.statuses[name]; status.GetState() == state && strings.Contains(status.GetMessage(), text) {
			return status
		}
		return nil
	})
}

func (m *member) hasConfigMap(name string) bool {
	_, err := m.client.CoreV1().ConfigMaps(m.space).Get(context.Background(), name, metav1.GetOptions{})
	return err == nil
}

func TestHooksRunAroundTheObjects(t *testing.T) {
	m := newMember(t)
	bundle := func(value string) []string {
		return []string{configMapYAML("one", value),
			hookYAML("second", "pre-install,pre-upgrade", `helm.sh/hook-weight: "5"`), hookYAML("first", "pre-install,pre-upgrade", `helm.sh/hook-weight: "-5"`),
			hookYAML("only-install", "post-install", "helm.sh/hook-delete-policy: hook-succeeded"), hookYAML("check", "test"), hookYAML("only-delete", "post-delete")}
	}
	m.give("fleet/a", nil, bundle("1")...)
	m.accept()
	first := m.job("first", "")
	m.says("fleet/a", linkv1.State_STATE_PROGRESSING, "(pre-install): the Job has not completed")
	if !m.noJob("second") || m.hasConfigMap("one") {
		t.Error("something came before the first hook was done")
	}
	m.finish("first", true)
	m.job("second", "")
	if m.hasConfigMap("one") {
		t.Error("an object came before the last hook was done")
	}
	m.finish("second", true)
	m.job("only-install", "")
	if !m.hasConfigMap("one") || !m.noJob("check") {
		t.Error("hooks are out of order")
	}
	if status := m.says("fleet/a", linkv1.State_STATE_PROGRESSING, "only-install (post-install)"); status.GetCounts().GetObjects() != 1 {
		t.Errorf("hooks count as objects: %v", status)
	}
	m.finish("only-install", true)
	m.job("check", "")
	m.finish("check", true)
	status := m.ready("fleet/a")
	if status.GetCounts().GetObjects() != 1 || len(status.GetExceptions()) != 0 {
		t.Errorf("status is %v", status)
	}
	m.eventually("the hook is deleted as it succeeded", func() bool { return m.noJob("only-install") })
	if m.noJob("first") || !m.noJob("only-delete") {
		t.Error("hooks are deleted before their next run, and run at their own moment only")
	}

	// The next revision is an upgrade: its hooks are made anew, and the one of the installation stays away.
	m.give("fleet/a", nil, bundle("2")...)
	m.accept()
	if again := m.job("first", first.GetUID()); m.configMap("one").Object["data"].(map[string]any)["key"] != "1" {
		t.Errorf("the object changed before Job %s was done", again.GetName())
	}
	m.finish("first", true)
	m.eventually("the second is made anew", func() bool {
		job, err := m.client.BatchV1().Jobs(m.space).Get(context.Background(), "second", metav1.GetOptions{})
		return err == nil && len(job.Status.Conditions) == 0
	})
	m.finish("second", true)
	m.eventually("the test is run anew", func() bool {
		job, err := m.client.BatchV1().Jobs(m.space).Get(context.Background(), "check", metav1.GetOptions{})
		return err == nil && len(job.Status.Conditions) == 0
	})
	m.finish("check", true)
	m.ready("fleet/a")
	if !m.noJob("only-install") {
		t.Error("an upgrade ran the hook of the installation")
	}

	// A restart repeats nothing.
	m.stop()
	m.written()
	m.start()
	m.ready("fleet/a")
	if writes := m.written(); len(writes) > 0 {
		t.Errorf("a restart wrote %v", writes)
	}

	m.bury("fleet/a", &linkv1.Tombstone{})
	m.accept()
	m.job("only-delete", "")
	if m.hasConfigMap("one") {
		t.Error("the hook after the removal came before it")
	}
	m.finish("only-delete", true)
	m.gone("fleet/a")
	for _, name := range []string{"first", "second", "check", "only-delete"} {
		m.eventually("nothing of the hooks is left: "+name, func() bool { return m.noJob(name) })
	}
	if len(m.inventory.Bundles()) != 0 {
		t.Errorf("inventory is %v", m.inventory.Bundles())
	}
}

func TestFailedHookKeepsWhatRuns(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"))
	m.accept()
	m.ready("fleet/a")
	m.give("fleet/a", nil, configMapYAML("one", "2"), hookYAML("migrate", "pre-upgrade"))
	m.accept()
	m.job("migrate", "")
	m.finish("migrate", false)
	status := m.says("fleet/a", linkv1.State_STATE_FAILED, "hook pre-upgrade Job.batch migrate failed: Tested: as the test wants")
	if len(status.GetExceptions()) != 1 || status.GetExceptions()[0].GetId().GetName() != "migrate" {
		t.Errorf("exceptions are %v", status.GetExceptions())
	}
	m.event("fleet/a", "hook-failed")
	// What ran before is kept up meanwhile.
	m.patch(configMaps, "one", `{"data":{"key":"drifted"}}`)
	m.event("fleet/a", "drift-repaired")
	if m.configMap("one").Object["data"].(map[string]any)["key"] != "1" {
		t.Error("the revision went on after its hook failed")
	}
	// A restart does not run it again; a person may.
	uid := m.job("migrate", "").GetUID()
	m.restart()
	m.says("fleet/a", linkv1.State_STATE_FAILED, "migrate failed")
	if m.job("migrate", "").GetUID() != uid {
		t.Error("a restart ran the hook again")
	}
	m.must(m.reconciler.Do(context.Background(), &linkv1.Command{Command: &linkv1.Command_Reconcile{Reconcile: &linkv1.Reconcile{Bundle: "fleet/a"}}}))
	uid = m.job("migrate", uid).GetUID()
	m.says("fleet/a", linkv1.State_STATE_PROGRESSING, "migrate")
	m.finish("migrate", false)
	m.says("fleet/a", linkv1.State_STATE_FAILED, "migrate failed")
	// So does deleting the Job that failed.
	policy := metav1.DeletePropagationBackground
	m.must(m.client.BatchV1().Jobs(m.space).Delete(context.Background(), "migrate", metav1.DeleteOptions{PropagationPolicy: &policy}))
	m.job("migrate", uid)
	m.finish("migrate", true)
	m.ready("fleet/a")
	if m.configMap("one").Object["data"].(map[string]any)["key"] != "2" {
		t.Error("the revision did not go on after its hook was done")
	}
}

func TestNewRevisionEndsTheWait(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"), hookYAML("stuck", "pre-install"))
	m.accept()
	m.job("stuck", "")
	m.give("fleet/a", nil, configMapYAML("one", "2"))
	m.accept()
	m.ready("fleet/a")
	m.event("fleet/a", "hook-abandoned")
	if m.noJob("stuck") {
		t.Error("what another revision's hook does was cut off")
	}
	// And so does a removal.
	m.give("fleet/b", nil, configMapYAML("two", "1"), hookYAML("stuck-too", "post-install"))
	m.accept()
	m.job("stuck-too", "")
	m.bury("fleet/b", &linkv1.Tombstone{})
	m.bury("fleet/a", &linkv1.Tombstone{})
	m.accept()
	m.gone("fleet/b")
	m.gone("fleet/a")
	m.eventually("nothing of the hooks is left", func() bool { return m.noJob("stuck") && m.noJob("stuck-too") })
}

func TestHookTimesOut(t *testing.T) {
	m := newMember(t)
	options := &linkv1.Options{HealthTimeout: durationpb.New(time.Second)}
	m.give("fleet/a", options, configMapYAML("one", "1"), hookYAML("slow", "pre-install", "helm.sh/hook-delete-policy: hook-failed"))
	m.accept()
	job := m.job("slow", "")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "slow-x", Labels: map[string]string{"batch.kubernetes.io/controller-uid": string(job.GetUID())}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "x"}}}}
	_, err := m.client.CoreV1().Pods(m.space).Create(context.Background(), pod, metav1.CreateOptions{})
	m.must(err)
	_, err = m.client.CoreV1().Pods(m.space).Patch(context.Background(), "slow-x", types.MergePatchType, []byte(
		`{"status":{"containerStatuses":[{"name":"main","image":"x","imageID":"","state":{"waiting":{"reason":"ImagePullBackOff","message":"no such image"}}}]}}`), metav1.PatchOptions{}, "status")
	m.must(err)
	m.says("fleet/a", linkv1.State_STATE_FAILED, "not done after 1s: the Job has not completed: container main of Pod slow-x waits: ImagePullBackOff: no such image")
	m.eventually("it is deleted as it failed", func() bool { return m.noJob("slow") })
	if m.hasConfigMap("one") {
		t.Error("the revision went on")
	}
}

func TestDeletedHookFails(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"), hookYAML("migrate", "pre-install"))
	m.accept()
	uid := m.job("migrate", "").GetUID()
	m.says("fleet/a", linkv1.State_STATE_PROGRESSING, "migrate")
	policy := metav1.DeletePropagationBackground
	m.must(m.client.BatchV1().Jobs(m.space).Delete(context.Background(), "migrate", metav1.DeleteOptions{PropagationPolicy: &policy}))
	m.says("fleet/a", linkv1.State_STATE_FAILED, "it was deleted before it was done")
	m.restart()
	m.says("fleet/a", linkv1.State_STATE_FAILED, "it was deleted before it was done")
	if !m.noJob("migrate") || m.hasConfigMap("one") {
		t.Errorf("the hook with UID %s was run again, or the revision went on without it", uid)
	}
}

func TestHookNeverTakesAnothersObject(t *testing.T) {
	m := newMember(t)
	ctx := context.Background()
	theirs := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "migrate"}, Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{
		Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main", Image: "x"}}}}}}
	made, err := m.client.BatchV1().Jobs(m.space).Create(ctx, theirs, metav1.CreateOptions{})
	m.must(err)
	m.give("fleet/a", nil, configMapYAML("one", "1"), hookYAML("migrate", "pre-install,pre-delete"))
	m.accept()
	m.says("fleet/a", linkv1.State_STATE_FAILED, "not managed by us")
	m.bury("fleet/a", &linkv1.Tombstone{})
	m.accept()
	m.gone("fleet/a")
	if job := m.job("migrate", ""); job.GetUID() != made.GetUID() {
		t.Error("another's Job was replaced")
	}
}

func TestHookFindsItsNamespaceAndCRD(t *testing.T) {
	m := newMember(t)
	group, other := m.space+".example", m.space+"-x"
	widget := "apiVersion: " + group + "/v1\nkind: Widget\nmetadata: {name: w, namespace: " + other + ", annotations: {helm.sh/hook: pre-install}}\nspec: {size: 3}"
	m.give("fleet/a", nil, crdYAML(group), "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+other+"}", widget, configMapYAML("one", "1"))
	m.accept()
	m.ready("fleet/a")
	// Its hooks and objects are the bundle's own, so nothing is precious.
	m.bury("fleet/a", &linkv1.Tombstone{})
	m.accept()
	m.gone("fleet/a")
}

func TestHookIsResumed(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"), hookYAML("migrate", "pre-install"))
	m.accept()
	uid := m.job("migrate", "").GetUID()
	m.says("fleet/a", linkv1.State_STATE_PROGRESSING, "migrate")
	// The agent dies after it made the object and before it wrote its UID down.
	m.stop()
	inv := m.inventory.Get("fleet/a")
	for _, o := range inv.Hooks.Sorted() {
		o.UID, o.State = "", "creating"
		inv.Hooks.Keep(o)
	}
	m.must(m.inventory.Save(context.Background(), inv))
	m.finish("migrate", true)
	m.start()
	m.ready("fleet/a")
	if m.job("migrate", "").GetUID() != uid {
		t.Error("the hook was run twice")
	}
}

func TestRestartsRunEachHookOnce(t *testing.T) {
	m := newMember(t)
	names, made := []string{"first", "second", "third"}, map[string]types.UID{}
	m.give("fleet/a", nil, configMapYAML("one", "1"), hookYAML("first", "pre-install"), hookYAML("second", "pre-install"), hookYAML("third", "post-install"))
	m.accept()
	for _, name := range names {
		// At once, so that the agent dies anywhere between making the Job and writing that down.
		made[name] = m.job(name, "").GetUID()
		m.restart()
		m.says("fleet/a", linkv1.State_STATE_PROGRESSING, name)
		m.stop()
		m.finish(name, true)
		m.start()
	}
	m.ready("fleet/a")
	m.restart()
	m.ready("fleet/a")
	for _, name := range names {
		if m.job(name, "").GetUID() != made[name] {
			t.Errorf("%s was made twice", name)
		}
	}
}

func TestHooksAfterWaitForHealth(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, deploymentYAML("app"), hookYAML("announce", "post-install"))
	m.accept()
	m.applied("fleet/a")
	m.says("fleet/a", linkv1.State_STATE_PROGRESSING, "Deployment.apps")
	if !m.noJob("announce") {
		t.Error("the hook came before the Deployment was ready")
	}
	m.available("app")
	m.job("announce", "")
	m.finish("announce", true)
	m.ready("fleet/a")
}

func TestWhatIsBrokenBeforeDoesNotFailTheNext(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, deploymentYAML("app"))
	m.accept()
	m.applied("fleet/a")
	_, err := m.dynamic.Resource(deployments).Namespace(m.space).Patch(context.Background(), "app", types.MergePatchType, []byte(
		`{"status":{"observedGeneration":1,"conditions":[{"type":"Progressing","status":"False","reason":"ProgressDeadlineExceeded","message":"too late"}]}}`),
		metav1.PatchOptions{}, "status")
	m.must(err)
	m.await("fleet/a", linkv1.State_STATE_FAILED)
	m.give("fleet/a", nil, strings.ReplaceAll(deploymentYAML("app"), "app:1", "app:2"), hookYAML("mend", "pre-upgrade"))
	m.accept()
	m.job("mend", "")
	m.says("fleet/a", linkv1.State_STATE_PROGRESSING, "mend (pre-upgrade)")
}

// available plays the controllers of a Deployment.
func (m *member) available(name string) {
	m.t.Helper()
	_, err := m.dynamic.Resource(deployments).Namespace(m.space).Patch(context.Background(), name, types.MergePatchType, []byte(
		`{"status":{"observedGeneration":1,"replicas":1,"updatedReplicas":1,"readyReplicas":1,"availableReplicas":1,"conditions":[{"type":"Available","status":"True"},{"type":"Progressing","status":"True","reason":"NewReplicaSetAvailable"}]}}`),
		metav1.PatchOptions{}, "status")
	m.must(err)
}

package reconcile_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

var (
	services = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	secrets  = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
)

// value of a field of a live object; nil when it has none.
func (m *member) value(resource schema.GroupVersionResource, name string, fields ...string) any {
	m.t.Helper()
	live, err := m.dynamic.Resource(resource).Namespace(m.space).Get(context.Background(), name, metav1.GetOptions{})
	m.must(err)
	var value any = live.Object
	for _, field := range fields {
		switch at := value.(type) {
		case map[string]any:
			value = at[field]
		case []any:
			value = at[0].(map[string]any)[field]
		}
	}
	return value
}

func (m *member) exists(resource schema.GroupVersionResource, name string) bool {
	m.t.Helper()
	_, err := m.dynamic.Resource(resource).Namespace(m.space).Get(context.Background(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false
	}
	m.must(err)
	return true
}

// drifting is a change by another, and what of it is to be told and undone.
type drifting struct {
	reason   string
	manifest string
	resource schema.GroupVersionResource
	patch    string
	told     string
	fields   []string
	want     any
}

func driftings() map[string]drifting {
	containers := []string{"spec", "template", "spec", "containers"}
	return map[string]drifting{
		"ExternalName": {"", "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {type: ExternalName, externalName: a.example}",
			services, `{"spec":{"externalName":"b.example"}}`, "/spec/externalName", []string{"spec", "externalName"}, "a.example"},
		"Image": {"in an item of a list of maps", deploymentYAML("%s"), deployments,
			`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"app:drift"}]`, "/spec/template/spec/containers/0/image", append(containers, "image"), "registry.example/app:1"},
		"Label": {"", configMapYAML("%s", "1") + "\n", configMaps, `{"metadata":{"labels":{"app":"x"}}}`, "", []string{"metadata", "labels", "app"}, "x"},
		"OwnLabel": {"", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {app: a}}", configMaps, `{"metadata":{"labels":{"app":"x"}}}`,
			"/metadata/labels/app", []string{"metadata", "labels", "app"}, "a"},
		"LabelRemoved": {"who removes leaves no trace", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {app: a}}", configMaps,
			`{"metadata":{"labels":{"app":null}}}`, "removed: /metadata/labels/app", []string{"metadata", "labels", "app"}, "a"},
		"Data":     {"", configMapYAML("%s", "1"), configMaps, `{"data":{"key":"drifted"}}`, "/data/key", []string{"data", "key"}, "1"},
		"Replicas": {"", deploymentYAML("%s"), deployments, `{"spec":{"replicas":5}}`, "/spec/replicas", []string{"spec", "replicas"}, int64(1)},
		"Port": {"the port is a key of its list, so that one goes and another comes", "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {ports: [{name: http, port: 80}]}",
			services, `{"spec":{"ports":[{"name":"http","port":81}]}}`, "removed: /spec/ports/0", []string{"spec", "ports", "port"}, int64(80)},
		"TargetPort": {"", "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {ports: [{name: http, port: 80, targetPort: 8080}]}",
			services, `[{"op":"replace","path":"/spec/ports/0/targetPort","value":9}]`, "/spec/ports/0/targetPort", []string{"spec", "ports", "targetPort"}, int64(8080)},
		"Secret": {"no value is told", "apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\nstringData: {password: hunter2}", secrets,
			`{"stringData":{"password":"stolen"}}`, "/data/password", []string{"data", "password"}, "aHVudGVyMg=="},
	}
}

// caseName is a name for the objects of a case.
func caseName(name string) string { return "d-" + strings.ToLower(name) }

func TestDriftIsRepairedAndTold(t *testing.T) {
	m := newMember(t)
	cases := driftings()
	for name, c := range cases {
		m.give("fleet/"+caseName(name), nil, strings.ReplaceAll(c.manifest, "%s", caseName(name)))
	}
	m.accept()
	for name := range cases {
		m.applied("fleet/" + caseName(name))
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			kind := types.MergePatchType
			if strings.HasPrefix(c.patch, "[") {
				kind = types.JSONPatchType
			}
			_, err := m.dynamic.Resource(c.resource).Namespace(m.space).Patch(context.Background(), caseName(name), kind, []byte(c.patch),
				metav1.PatchOptions{FieldManager: "somebody"})
			m.must(err)
			if c.told == "" {
				// Another's addition is no drift; that nothing is said of it is seen at the end.
				return
			}
			event := m.event("fleet/"+caseName(name), "drift-repaired")
			if !strings.Contains(event.GetMessage(), c.told) {
				t.Errorf("%s: event is %q", c.reason, event.GetMessage())
			}
			if !strings.HasPrefix(c.told, "removed") && !strings.Contains(event.GetMessage(), "by somebody at 20") {
				t.Errorf("who and when are not in %q", event.GetMessage())
			}
			if strings.Contains(event.GetMessage(), "stolen") || strings.Contains(event.GetMessage(), "hunter2") {
				t.Errorf("a Secret's value is told: %q", event.GetMessage())
			}
			if got := m.value(c.resource, caseName(name), c.fields...); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%v is %v, want %v", c.fields, got, c.want)
			}
		})
	}
	if told := m.told("fleet/"+caseName("Label"), "drift-repaired"); told != 0 {
		t.Errorf("another's label was told as drift %d times", told)
	}
}

// told counts events of a bundle.
func (m *member) told(bundle, kind string) int {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	count := 0
	for i, event := range m.hub.events {
		if m.hub.of[i] == bundle && event.GetType() == kind {
			count++
		}
	}
	return count
}

func TestDeletedObjectsAreMadeAnew(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"), "apiVersion: v1\nkind: Service\nmetadata: {name: two}\nspec: {ports: [{port: 80}]}")
	m.accept()
	m.ready("fleet/a")
	for resource, name := range map[schema.GroupVersionResource]string{configMaps: "one", services: "two"} {
		m.must(m.dynamic.Resource(resource).Namespace(m.space).Delete(context.Background(), name, metav1.DeleteOptions{}))
		m.eventually(name+" is back", func() bool { return m.exists(resource, name) })
	}
	m.eventually("both are told", func() bool { return m.told("fleet/a", "recreated") == 2 })
}

func TestSeveralDriftsAtOnce(t *testing.T) {
	m := newMember(t)
	var manifests []string
	for i := range 20 {
		manifests = append(manifests, configMapYAML(fmt.Sprintf("c%02d", i), "1"))
	}
	m.give("fleet/a", nil, manifests...)
	m.accept()
	m.ready("fleet/a")
	m.written()
	for i := range 20 {
		m.patch(configMaps, fmt.Sprintf("c%02d", i), `{"data":{"key":"drifted"}}`)
	}
	m.eventually("all are repaired", func() bool { return m.told("fleet/a", "drift-repaired") == 20 })
	patches := 0
	for _, write := range m.written() {
		if strings.HasPrefix(write, "PATCH") {
			patches++
		}
	}
	if patches != 20 {
		t.Errorf("%d patches for 20 repairs", patches)
	}
}

func TestCorrectionThatComesAfterTheDrift(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", &linkv1.Options{DriftMode: "Ignore"}, configMapYAML("one", "1"))
	m.accept()
	m.ready("fleet/a")
	m.patch(configMaps, "one", `{"data":{"key":"drifted"}}`)
	m.give("fleet/a", &linkv1.Options{DriftMode: "Report"}, configMapYAML("one", "1"))
	m.accept()
	event := m.event("fleet/a", "drift-reported")
	if !strings.Contains(event.GetMessage(), "by somebody at 20") || !strings.Contains(event.GetMessage(), "/data/key") {
		t.Errorf("event is %v", event)
	}
	m.give("fleet/a", nil, configMapYAML("one", "1"))
	m.accept()
	m.event("fleet/a", "drift-repaired")
	if got := m.value(configMaps, "one", "data", "key"); got != "1" {
		t.Errorf("key is %v", got)
	}
	status := m.ready("fleet/a")
	if len(status.GetExceptions()) != 0 {
		t.Errorf("exceptions are %v", status.GetExceptions())
	}
}

// scale writes through the scale subresource as a manager.
func (m *member) scale(name, manager string, replicas int) {
	m.t.Helper()
	_, err := m.dynamic.Resource(deployments).Namespace(m.space).Patch(context.Background(), name, types.MergePatchType,
		[]byte(fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas)), metav1.PatchOptions{FieldManager: manager}, "scale")
	m.must(err)
}

func TestAutoscalerIsNotFought(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, deploymentYAML("app"), configMapYAML("one", "1"))
	m.accept()
	m.applied("fleet/a")
	// A person who scales by hand is corrected.
	m.scale("app", "kubectl", 9)
	event := m.event("fleet/a", "drift-repaired")
	if !strings.Contains(event.GetMessage(), "by kubectl through scale") {
		t.Errorf("event is %v", event)
	}
	m.scale("app", "kube-controller-manager", 7)
	// A repair of another object tells that the scaling was looked at.
	m.patch(configMaps, "one", `{"data":{"key":"drifted"}}`)
	m.eventually("the other object is repaired", func() bool { return m.told("fleet/a", "drift-repaired") == 2 })
	m.give("fleet/a", nil, strings.ReplaceAll(deploymentYAML("app"), "app:1", "app:2"), configMapYAML("one", "2"))
	m.accept()
	m.applied("fleet/a")
	if got := m.value(deployments, "app", "spec", "replicas"); got != int64(7) {
		t.Errorf("replicas are %v", got)
	}
	if got := m.value(deployments, "app", "spec", "template", "spec", "containers", "image"); got != "registry.example/app:2" {
		t.Errorf("image is %v", got)
	}
}

func TestManagersAreLeftAlone(t *testing.T) {
	m := newMember(t)
	options := &linkv1.Options{DriftIgnore: []*linkv1.DriftIgnore{{Kind: "Deployment", Managers: []string{"keda-*"}}}}
	m.give("fleet/a", options, deploymentYAML("app"), configMapYAML("one", "1"))
	m.accept()
	m.applied("fleet/a")
	change := func(manager, patch string) {
		_, err := m.dynamic.Resource(deployments).Namespace(m.space).Patch(context.Background(), "app", types.MergePatchType, []byte(patch),
			metav1.PatchOptions{FieldManager: manager})
		m.must(err)
	}
	change("keda-operator", `{"spec":{"replicas":4}}`)
	m.patch(configMaps, "one", `{"data":{"key":"drifted"}}`)
	m.event("fleet/a", "drift-repaired")
	if m.told("fleet/a", "drift-repaired") != 1 {
		t.Error("what a rule leaves to a manager is told as drift")
	}
	_, err := m.dynamic.Resource(deployments).Namespace(m.space).Patch(context.Background(), "app", types.JSONPatchType,
		[]byte(`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"app:drift"}]`), metav1.PatchOptions{FieldManager: "somebody"})
	m.must(err)
	m.eventually("the image is repaired", func() bool {
		return m.value(deployments, "app", "spec", "template", "spec", "containers", "image") == "registry.example/app:1"
	})
	if got := m.value(deployments, "app", "spec", "replicas"); got != int64(4) {
		t.Errorf("the repair set replicas to %v", got)
	}
	// Without the rule the fields are ours again.
	m.give("fleet/a", nil, deploymentYAML("app"), configMapYAML("one", "1"))
	m.accept()
	m.eventually("replicas are ours", func() bool { return m.value(deployments, "app", "spec", "replicas") == int64(1) })
}

func TestFightIsNamedAndSlowed(t *testing.T) {
	m := newMember(t)
	m.truce = 3 * time.Second
	m.restart()
	m.give("fleet/a", nil, configMapYAML("one", "1"))
	m.accept()
	m.ready("fleet/a")
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stream, err := m.dynamic.Resource(configMaps).Namespace(m.space).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=one"})
		if err != nil {
			return
		}
		defer stream.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case event, open := <-stream.ResultChan():
				if !open {
					return
				}
				live, ok := event.Object.(*unstructured.Unstructured)
				if ok && live.Object["data"].(map[string]any)["key"] == "1" {
					_, _ = m.dynamic.Resource(configMaps).Namespace(m.space).Patch(ctx, "one", types.MergePatchType, []byte(`{"data":{"key":"theirs"}}`),
						metav1.PatchOptions{FieldManager: "rival"})
				}
			}
		}
	}()
	defer func() { stop(); <-stopped }()
	event := m.event("fleet/a", "fight")
	if !strings.Contains(event.GetMessage(), "with rival over /data/key: repaired 11 times") {
		t.Errorf("event is %v", event)
	}
	m.hub.wait(t, "the status names the fight", func(l *listener) *linkv1.BundleStatus {
		if s := l.statuses["fleet/a"]; strings.Contains(s.GetMessage(), "fight with rival over /data/key") && s.GetCounts().GetDrifted() == 1 {
			return s
		}
		return nil
	})
	// Repairs 12 and 13 come 1 and 2 seconds later.
	begun := time.Now()
	m.eventually("it goes on", func() bool { return m.told("fleet/a", "drift-repaired") >= 13 })
	if took := time.Since(begun); took < 2*time.Second {
		t.Errorf("two repairs of a fight took %s", took)
	}
	stop()
	<-stopped
	m.eventually("the last repair lasts", func() bool { return m.value(configMaps, "one", "data", "key") == "1" })
	m.event("fleet/a", "fight-ended")
	m.hub.wait(t, "the status no longer names it", func(l *listener) *linkv1.BundleStatus {
		if s := l.statuses["fleet/a"]; s.GetMessage() == "" && len(s.GetExceptions()) == 0 && s.GetState() == linkv1.State_STATE_READY {
			return s
		}
		return nil
	})
	if told := m.told("fleet/a", "fight"); told != 1 {
		t.Errorf("the fight was told %d times", told)
	}
}

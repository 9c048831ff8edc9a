package reconcile_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

var autoscalers = schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}

const podSpec = "\n  selector: {matchLabels: {app: x}}\n  template:\n    metadata: {labels: {app: x}}\n"

// normalised are objects that live otherwise than they are declared, and are no drift.
var normalised = map[string]struct {
	resource schema.GroupVersionResource
	manifest string
}{
	"defaults": {deployments, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: defaults}\nspec:" + podSpec + "    spec: {containers: [{name: main, image: x}]}"},
	"nulls": {deployments, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: nulls, annotations: null}\nspec:\n  strategy: null\n  paused: null" + podSpec +
		"    spec: {nodeSelector: null, containers: [{name: main, image: x, env: null, args: null}]}"},
	"status": {deployments, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: status, creationTimestamp: null}\nspec:" + podSpec +
		"    spec: {containers: [{name: main, image: x}]}\nstatus: {replicas: 7, readyReplicas: 7}"},
	"quantities": {deployments, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: quantities}\nspec:" + podSpec +
		"    spec: {containers: [{name: main, image: x, resources: {limits: {cpu: 1000m, memory: 1024Mi}, requests: {cpu: 0.5, memory: '1e6'}}}]}"},
	"order": {deployments, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: order}\nspec:" + podSpec +
		"    spec: {containers: [{name: z, image: x, env: [{name: B, value: '1'}, {name: A, value: '2'}], ports: [{containerPort: 90}, {containerPort: 80}]}, {name: a, image: x}]}"},
	"empties": {deployments, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: empties, labels: {}}\nspec:" + podSpec +
		"    spec: {hostNetwork: false, tolerations: [], volumes: [{name: v, emptyDir: {}}], containers: [{name: main, image: x, resources: {}, securityContext: {}}]}"},
	"texts":   {secrets, "apiVersion: v1\nkind: Secret\nmetadata: {name: texts}\nstringData: {key: text}\ndata: {other: eA==}"},
	"numbers": {services, "apiVersion: v1\nkind: Service\nmetadata: {name: numbers}\nspec: {ports: [{name: http, port: 80, targetPort: http}, {name: other, port: 81, targetPort: 8080}]}"},
	"older":   {autoscalers, "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: older}\nspec: {maxReplicas: 3, targetCPUUtilizationPercentage: 50, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: defaults}}"},
}

func TestWhatTheServerMakesOfObjectsIsNoDrift(t *testing.T) {
	m := newMember(t)
	manifests := []string{configMapYAML("marker", "1")}
	for _, c := range normalised {
		manifests = append(manifests, c.manifest)
	}
	m.give("fleet/a", nil, manifests...)
	m.accept()
	m.applied("fleet/a")
	m.written()
	// Others write to each of them, so that each is looked at anew.
	for name, c := range normalised {
		m.patch(c.resource, name, `{"metadata":{"annotations":{"seen":"yes"}}}`)
	}
	m.scale("defaults", "kube-controller-manager", 5)
	_, err := m.dynamic.Resource(deployments).Namespace(m.space).Patch(context.Background(), "defaults", types.MergePatchType,
		[]byte(`{"status":{"replicas":5}}`), metav1.PatchOptions{FieldManager: "kube-controller-manager"}, "status")
	m.must(err)
	m.onlyMarkerIsWritten()
	m.restart()
	m.applied("fleet/a")
	m.onlyMarkerIsWritten()
}

// onlyMarkerIsWritten has a drift repaired, and nothing else written.
func (m *member) onlyMarkerIsWritten() {
	m.t.Helper()
	before := m.told("fleet/a", "drift-repaired")
	m.patch(configMaps, "marker", `{"data":{"key":"drifted"}}`)
	m.eventually("the marker is repaired", func() bool { return m.value(configMaps, "marker", "data", "key") == "1" })
	m.eventually("and told", func() bool { return m.told("fleet/a", "drift-repaired") > before })
	var writes []string
	for _, write := range m.written() {
		if !strings.Contains(write, "periplus-inventory") {
			writes = append(writes, write)
		}
	}
	if len(writes) != 1 || !strings.HasSuffix(writes[0], "/marker") {
		m.t.Errorf("wrote %v", writes)
	}
}

func TestAnotherVersionOfTheSameObjectIsNoDrift(t *testing.T) {
	m := newMember(t)
	older := normalised["older"].manifest
	newer := "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: older}\nspec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: defaults}," +
		" metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]}"
	m.give("fleet/a", nil, older, configMapYAML("marker", "1"))
	m.accept()
	m.applied("fleet/a")
	m.give("fleet/a", nil, newer, configMapYAML("marker", "1"))
	m.accept()
	m.applied("fleet/a")
	m.written()
	m.patch(autoscalers, "older", `{"metadata":{"annotations":{"seen":"yes"}}}`)
	m.onlyMarkerIsWritten()
	// What others change in it is drift in either version.
	m.patch(autoscalers, "older", `{"spec":{"maxReplicas":9}}`)
	m.eventually("it is repaired", func() bool { return m.value(autoscalers, "older", "spec", "maxReplicas") == int64(3) })
}

// mutate serves a webhook that changes every ConfigMap of the test that is written.
func (m *member) mutate() {
	m.t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		patch, kind := []byte(`[{"op":"add","path":"/metadata/labels/injected","value":"yes"},{"op":"add","path":"/data/added","value":"x"},{"op":"add","path":"/data/key","value":"mutated"}]`), admissionv1.PatchTypeJSONPatch
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		if strings.HasPrefix(review.Request.Name, "hooked") {
			review.Response.Patch, review.Response.PatchType = patch, &kind
		}
		_ = json.NewEncoder(w).Encode(review)
	}))
	m.t.Cleanup(server.Close)
	none, fail, url := registrationv1.SideEffectClassNone, registrationv1.Fail, server.URL
	hook := &registrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: m.space}, Webhooks: []registrationv1.MutatingWebhook{{
		Name: "mutate.example.org", AdmissionReviewVersions: []string{"v1"}, SideEffects: &none, FailurePolicy: &fail,
		ClientConfig:      registrationv1.WebhookClientConfig{URL: &url, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})},
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": m.space}},
		Rules: []registrationv1.RuleWithOperations{{Operations: []registrationv1.OperationType{registrationv1.Create, registrationv1.Update},
			Rule: registrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}}}}}}}
	hooks := m.client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	_, err := hooks.Create(context.Background(), hook, metav1.CreateOptions{})
	m.must(err)
	m.t.Cleanup(func() { _ = hooks.Delete(context.Background(), m.space, metav1.DeleteOptions{}) })
	// The API server learns of it a moment later.
	m.eventually("the webhook is called", func() bool {
		probe := object("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hooked-probe, labels: {a: b}}\ndata: {a: b}")
		live, err := m.dynamic.Resource(configMaps).Namespace(m.space).Create(context.Background(), probe, metav1.CreateOptions{DryRun: []string{"All"}})
		m.must(err)
		return live.GetLabels()["injected"] == "yes"
	})
}

func TestWhatWebhooksChangeIsNoDrift(t *testing.T) {
	m := newMember(t)
	m.mutate()
	m.give("fleet/a", nil, configMapYAML("hooked", "1"), configMapYAML("marker", "1"))
	m.accept()
	m.applied("fleet/a")
	if got := m.value(configMaps, "hooked", "data", "key"); got != "mutated" {
		t.Fatalf("the webhook did nothing: %v", got)
	}
	m.written()
	m.patch(configMaps, "hooked", `{"metadata":{"annotations":{"seen":"yes"}}}`)
	m.onlyMarkerIsWritten()
	m.restart()
	m.applied("fleet/a")
	m.onlyMarkerIsWritten()
}

func TestNoValueOfASecretIsTold(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", &linkv1.Options{DriftMode: "Report"}, normalised["texts"].manifest)
	m.accept()
	m.ready("fleet/a")
	m.patch(secrets, "texts", `{"stringData":{"key":"other"}}`)
	event := m.event("fleet/a", "drift-reported")
	for _, value := range []string{"text", "other", base64.StdEncoding.EncodeToString([]byte("text")), base64.StdEncoding.EncodeToString([]byte("other"))} {
		if strings.Contains(strings.ReplaceAll(event.GetMessage(), "by somebody", ""), value) {
			t.Errorf("%q is told: %q", value, event.GetMessage())
		}
	}
	status := m.hub.wait(t, "it is an exception", func(l *listener) *linkv1.BundleStatus {
		if s := l.statuses["fleet/a"]; len(s.GetExceptions()) == 1 {
			return s
		}
		return nil
	})
	if message := status.GetExceptions()[0].GetMessage(); !strings.Contains(message, "/data/key") || !strings.Contains(message, "by somebody at 20") {
		t.Errorf("exception says %q", message)
	}
}

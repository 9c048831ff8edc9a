package faults_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	hooksv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/periplus-fleet/periplus/e2e/member"
)

// webhook is a server that the API server asks about ConfigMaps of what bundles bring.
type webhook struct {
	server *httptest.Server
	asked  atomic.Int32
	config hooksv1.WebhookClientConfig
}

func newWebhook(t *testing.T, judge func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse) *webhook {
	t.Helper()
	h := &webhook{}
	h.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.asked.Add(1)
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response = judge(review.Request)
		review.Response.UID = review.Request.UID
		review.Request = nil
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(h.server.Close)
	h.config = hooksv1.WebhookClientConfig{URL: &h.server.URL,
		CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.server.Certificate().Raw})}
	return h
}

const hookName = "judge.faults.example.com"

var (
	hookRules = []hooksv1.RuleWithOperations{{Operations: []hooksv1.OperationType{hooksv1.Create, hooksv1.Update},
		Rule: hooksv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}}}}
	hookScope = &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": member.Space}}
)

// validating puts a webhook in force; the result takes it back.
func (w *world) validating(h *webhook, timeout int32) (end func()) {
	w.Helper()
	none, fail := hooksv1.SideEffectClassNone, hooksv1.Fail
	client := w.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	_, err := client.Create(w.ctx, &hooksv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "faults"},
		Webhooks: []hooksv1.ValidatingWebhook{{Name: hookName, ClientConfig: h.config, Rules: hookRules, NamespaceSelector: hookScope, SideEffects: &none,
			FailurePolicy: &fail, TimeoutSeconds: &timeout, AdmissionReviewVersions: []string{"v1"}}}}, metav1.CreateOptions{})
	w.must(err)
	w.inForce(h)
	return func() { w.must(client.Delete(w.ctx, "faults", metav1.DeleteOptions{})) }
}

// inForce waits until the API server asks a webhook.
func (w *world) inForce(h *webhook) {
	w.Helper()
	probe := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "probe"}}
	w.eventually(func() string {
		_, _ = w.Client.CoreV1().ConfigMaps(member.Space).Create(w.ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if h.asked.Load() == 0 {
			return "the webhook is not asked"
		}
		return ""
	})
	h.asked.Store(0)
}

// complains waits until a bundle's status says something, in itself or of an object.
func (w *world) complains(name, words string) {
	w.Helper()
	w.eventually(func() string {
		status := w.Hub.Status(name)
		text := status.GetMessage()
		for _, exception := range status.GetExceptions() {
			text += "\n" + exception.GetMessage()
		}
		if !strings.Contains(text, words) {
			return fmt.Sprintf("%s says %q, not %q", name, text, words)
		}
		return ""
	})
}

func TestWebhookRefuses(t *testing.T) {
	w := newWorld(t)
	h := newWebhook(t, func(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Allowed: r.Name != "hooked-001", Result: &metav1.Status{Message: "not on a Monday"}}
	})
	w.assign(bundle("hooked", numbered("hooked", 5, "one")))
	w.start()
	w.settle()
	before := w.live()
	end := w.validating(h, 5)
	w.assign(bundle("hooked", numbered("hooked", 5, "two")))
	w.complains("hooked", "not on a Monday")
	w.becomes("hooked-004", "two")
	w.becomes("hooked-001", "one")
	h.asked.Store(0)
	time.Sleep(4 * time.Second)
	if asked := h.asked.Load(); asked > 4 {
		t.Errorf("the refused object was tried %d times in 4 s", asked)
	}
	end()
	w.settle()
	w.becomes("hooked-001", "two")
	w.same(before, w.live())
}

func TestWebhookTimesOut(t *testing.T) {
	w := newWorld(t)
	h := newWebhook(t, func(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		if r.DryRun == nil || !*r.DryRun {
			time.Sleep(3 * time.Second)
		}
		return &admissionv1.AdmissionResponse{Allowed: true}
	})
	w.assign(bundle("slow", numbered("slow", 5, "one")))
	w.start()
	w.settle()
	before := w.live()
	end := w.validating(h, 1)
	w.assign(bundle("slow", numbered("slow", 5, "two")))
	w.complains("slow", "cannot be asked")
	end()
	w.settle()
	w.becomes("slow-003", "two")
	w.same(before, w.live())
}

func TestWebhookMutates(t *testing.T) {
	w := newWorld(t)
	h := newWebhook(t, func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		// A field of nobody, and one that the bundle has.
		patch := `[{"op":"add","path":"/data/injected","value":"yes"},{"op":"replace","path":"/data/value","value":"mutated"}]`
		kind := admissionv1.PatchTypeJSONPatch
		return &admissionv1.AdmissionResponse{Allowed: true, Patch: []byte(patch), PatchType: &kind}
	})
	none, fail, timeout := hooksv1.SideEffectClassNone, hooksv1.Fail, int32(5)
	client := w.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	_, err := client.Create(w.ctx, &hooksv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "faults"},
		Webhooks: []hooksv1.MutatingWebhook{{Name: hookName, ClientConfig: h.config, Rules: hookRules, NamespaceSelector: hookScope, SideEffects: &none,
			FailurePolicy: &fail, TimeoutSeconds: &timeout, AdmissionReviewVersions: []string{"v1"}}}}, metav1.CreateOptions{})
	w.must(err)
	defer func() { w.must(client.Delete(w.ctx, "faults", metav1.DeleteOptions{})) }()
	w.inForce(h)
	w.assign(bundle("mutated", numbered("mutated", 5, "one")))
	w.start()
	w.settle()
	w.becomes("mutated-002", "mutated")
	w.must(w.Audit.Skip())
	time.Sleep(5 * time.Second)
	w.restart()
	w.heal()
	calls, err := w.Audit.Calls()
	w.must(err)
	for _, call := range calls {
		if call.Write() && call.Tenant {
			t.Errorf("an applied object is written again: %s %s %s", call.Verb, call.Resource, call.Name)
		}
	}
}

func TestNamespaceTerminatesUnderApply(t *testing.T) {
	w := newWorld(t)
	const doomed = "doomed"
	namespaces := w.Client.CoreV1().Namespaces()
	create := func() {
		_, err := namespaces.Create(w.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: doomed}}, metav1.CreateOptions{})
		w.must(err)
	}
	in := func(count int, value string) member.Bundle {
		b := bundle("doomed", numbered("doomed", count, value))
		for _, object := range b.Objects {
			object["metadata"].(map[string]any)["namespace"] = doomed
		}
		return b
	}
	create()
	w.assign(in(3, "one"))
	w.assign(bundle("other", numbered("other", 3, "one")))
	w.start()
	w.settle()
	w.must(namespaces.Delete(w.ctx, doomed, metav1.DeleteOptions{}))
	w.assign(in(5, "two"))
	w.complains("doomed", "is being deleted")
	// Others do not mind.
	w.change("other-001", "drifted")
	w.becomes("other-001", "one")
	// What the namespace controller does: its contents go, then itself.
	w.must(w.Client.CoreV1().ConfigMaps(doomed).DeleteCollection(w.ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	last, err := namespaces.Get(w.ctx, doomed, metav1.GetOptions{})
	w.must(err)
	last.Spec.Finalizers = nil
	_, err = namespaces.Finalize(w.ctx, last, metav1.UpdateOptions{})
	w.must(err)
	w.complains("doomed", "does not exist")
	create()
	w.settle()
	list, err := w.Client.CoreV1().ConfigMaps(doomed).List(w.ctx, metav1.ListOptions{})
	w.must(err)
	if len(list.Items) != 5 || list.Items[0].Data["value"] != "two" {
		t.Errorf("%d objects are back, want 5", len(list.Items))
	}
}

func TestCRDDeletedUnderItsObjects(t *testing.T) {
	w := newWorld(t)
	client := dynamic.NewForConfigOrDie(w.Admin)
	crds := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	create := func() {
		crd := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
			"metadata": map[string]any{"name": "sails.faults.example.com"},
			"spec": map[string]any{"group": "faults.example.com", "scope": "Namespaced",
				"names": map[string]any{"plural": "sails", "singular": "sail", "kind": "Sail", "listKind": "SailList"},
				"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{
					"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}}}
		_, err := crds.Create(w.ctx, crd, metav1.CreateOptions{})
		w.must(err)
	}
	sails := client.Resource(schema.GroupVersionResource{Group: "faults.example.com", Version: "v1", Resource: "sails"}).Namespace(member.Space)
	b := member.Bundle{Name: "sails"}
	for i := range 3 {
		b.Objects = append(b.Objects, map[string]any{"apiVersion": "faults.example.com/v1", "kind": "Sail",
			"metadata": map[string]any{"name": fmt.Sprint("sail-", i)}, "spec": map[string]any{"size": "large"}})
	}
	create()
	w.assign(bundle("other", numbered("other", 3, "one")))
	w.start()
	w.settle()
	w.assign(b)
	w.settle()
	w.must(w.Audit.Skip())
	w.must(crds.Delete(w.ctx, "sails.faults.example.com", metav1.DeleteOptions{}))
	w.complains("sails", "does not serve Sail any more")
	t.Logf("it says: %s", w.Hub.Status("sails").GetMessage())
	w.change("other-001", "drifted")
	w.becomes("other-001", "one")
	time.Sleep(5 * time.Second)
	calls, err := w.Audit.Calls()
	w.must(err)
	if len(calls) > 150 {
		t.Errorf("%d calls in 5 s: the agent hammers what is not served", len(calls))
	}
	create()
	w.settle()
	w.eventually(func() string {
		list, err := sails.List(w.ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		if len(list.Items) != 3 {
			return fmt.Sprintf("%d objects are back, want 3", len(list.Items))
		}
		return ""
	})
	w.must(crds.Delete(w.ctx, "sails.faults.example.com", metav1.DeleteOptions{}))
}

package control

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

func named(object client.Object) []string { return []string{object.GetName()} }

func TestValuesWatch(t *testing.T) {
	object := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "fleet", Name: name} }
	api := fake.NewClientBuilder().WithIndex(&corev1.ConfigMap{}, "metadata.name", named).WithIndex(&corev1.Secret{}, "metadata.name", named).
		WithObjects(&corev1.ConfigMap{ObjectMeta: object("web"), Data: map[string]string{"values.yaml": "a: 1"}},
			&corev1.Secret{ObjectMeta: object("web"), Data: map[string][]byte{"token": []byte("s")}},
			&corev1.Secret{ObjectMeta: object("other"), Data: map[string][]byte{"token": []byte("o")}}).Build()
	moved := make(chan string, 100)
	w := newValuesWatch(api, func(namespace string) { moved <- namespace })
	running, stop := context.WithCancel(t.Context())
	defer stop()
	web := objectKey{"ConfigMap", "fleet", "web"}
	w.keep(t.Context(), running, "fleet", map[objectKey]bool{web: true, {"Secret", "fleet", "web"}: true, {"Secret", "fleet", "none"}: true})

	reference := v1alpha1.ValuesReference{ConfigMap: &v1alpha1.KeyReference{Name: "web"}}
	if text, found, err := w.Values("fleet", reference); text != "a: 1" || !found || err != nil {
		t.Errorf("got %q, %t, %v", text, found, err)
	}
	if text, found, err := w.Values("fleet", v1alpha1.ValuesReference{Secret: &v1alpha1.KeyReference{Name: "web", Key: "token"}}); text != "s" || !found || err != nil {
		t.Errorf("got %q, %t, %v", text, found, err)
	}
	if _, found, err := w.Values("fleet", v1alpha1.ValuesReference{Secret: &v1alpha1.KeyReference{Name: "none"}}); found || err != nil {
		t.Errorf("what is missing is no error of the watch: %t, %v", found, err)
	}
	if _, _, err := w.Values("fleet", v1alpha1.ValuesReference{Secret: &v1alpha1.KeyReference{Name: "other"}}); err == nil {
		t.Error("an object that nobody names is not read")
	}
	before := w.Digest("fleet", []v1alpha1.ValuesReference{reference})
	for len(moved) > 0 {
		<-moved
	}
	if err := api.Update(t.Context(), &corev1.ConfigMap{ObjectMeta: object("web"), Data: map[string]string{"values.yaml": "a: 2"}}); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(10 * time.Second)
	for w.Digest("fleet", []v1alpha1.ValuesReference{reference}) == before {
		select {
		case <-moved:
		case <-deadline:
			t.Fatal("the change is not seen")
		}
	}
	w.keep(t.Context(), running, "fleet", nil)
	if _, _, err := w.Values("fleet", reference); err == nil {
		t.Error("what nobody names any more is not watched")
	}
}

func TestValuesThatMayOnlyBeRead(t *testing.T) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: "web"}, Data: map[string][]byte{"token": []byte("s")}}
	api := fake.NewClientBuilder().WithObjects(secret).WithInterceptorFuncs(interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return errors.New("forbidden")
		}}).Build()
	w := newValuesWatch(api, func(string) {})
	running, stop := context.WithCancel(t.Context())
	defer stop()
	w.keep(t.Context(), running, "fleet", map[objectKey]bool{{"Secret", "fleet", "web"}: true, {"Secret", "fleet", "none"}: true})
	if data, err := w.Secret(t.Context(), "fleet", "web"); err != nil || string(data["token"]) != "s" {
		t.Errorf("what the hub may not watch it reads: %v, %v", data, err)
	}
	if _, found, err := w.Values("fleet", v1alpha1.ValuesReference{Secret: &v1alpha1.KeyReference{Name: "none"}}); found || err != nil {
		t.Errorf("what is missing is missing: %t, %v", found, err)
	}
}

func TestPlanFollowsValues(t *testing.T) {
	f := small(t)
	given := &heldValues{text: "x: 1"}
	f.planner.values = given
	f.commit(map[string]string{"bundles/chart/bundle.yaml": "kind: Bundle\nmetadata: {name: chart}\nspec: {source: {jsonnet: {}}, valuesFrom: [{configMap: {name: v}}], targets: [{clusterNames: [c1]}]}\n",
		"bundles/chart/main.jsonnet": `{apiVersion: "v1", kind: "ConfigMap", metadata: {name: "v"}, data: {x: std.toString(std.extVar("x"))}}`})
	f.plan()
	before := f.assignments()["c1 fleet/chart"]
	if got := f.worked(func() { f.plan() }); got.Pairs != 0 {
		t.Errorf("nothing changed: %+v", got)
	}
	given.text = "x: 2"
	if got := f.worked(func() { f.plan() }); got.Pairs != 1 || got.Changes != 1 {
		t.Errorf("a change concerns the bundles that name it: %+v", got)
	}
	if after := f.assignments()["c1 fleet/chart"]; after == before {
		t.Errorf("and changes what they render to: %s", after)
	}
}

// heldValues gives every reference the same text.
type heldValues struct{ text string }

func (h *heldValues) Values(string, v1alpha1.ValuesReference) (string, bool, error) {
	return h.text, true, nil
}
func (h *heldValues) Digest(string, []v1alpha1.ValuesReference) string { return h.text }
func (h *heldValues) Secret(context.Context, string, string) (map[string][]byte, error) {
	return nil, nil
}

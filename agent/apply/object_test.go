package apply

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/owned"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

func TestPrepare(t *testing.T) {
	cases := map[string]struct {
		reason     string
		namespace  string
		namespaced bool
		want       string
	}{
		"Default":       {"only the agent knows a kind's scope", "", true, "space"},
		"Own":           {"", "own", true, "own"},
		"ClusterScoped": {"a namespace on such an object is a mistake that the API server would refuse", "own", false, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			object, err := Parse([]byte(`{"apiVersion":"v1","kind":"Thing","metadata":{"name":"x"},"status":{"phase":"old"}}`))
			if err != nil {
				t.Fatal(err)
			}
			object.SetNamespace(c.namespace)
			id := Prepare(object, kube.Resource{Kind: "Thing", Namespaced: c.namespaced}, "fleet/a", "space")
			want := content.ObjectID{Kind: "Thing", Namespace: c.want, Name: "x"}
			if diff := cmp.Diff(want, id); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
			if object.GetLabels()[owned.ManagedLabel] != "true" || object.GetAnnotations()[owned.OwnerAnnotation] != owned.Owner("fleet/a", want) || object.Object["status"] != nil {
				t.Errorf("object is %v", object.Object)
			}
		})
	}
}

func TestIgnored(t *testing.T) {
	id := content.ObjectID{Group: "apps", Kind: "Deployment", Namespace: "x", Name: "web-1"}
	cases := map[string]struct {
		rule *linkv1.DriftIgnore
		want bool
	}{
		"All":            {&linkv1.DriftIgnore{}, true},
		"Kind":           {&linkv1.DriftIgnore{Kind: "Deployment"}, true},
		"OtherKind":      {&linkv1.DriftIgnore{Kind: "StatefulSet"}, false},
		"Wildcard":       {&linkv1.DriftIgnore{Name: "web-*"}, true},
		"OtherWildcard":  {&linkv1.DriftIgnore{Name: "db-*"}, false},
		"OtherNamespace": {&linkv1.DriftIgnore{Namespace: "y"}, false},
		"OtherGroup":     {&linkv1.DriftIgnore{Group: "batch"}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.rule.Pointers = []string{"/spec/replicas", "/metadata/annotations/a~1b"}
			var want []owned.Pointer
			if c.want {
				want = []owned.Pointer{{"spec", "replicas"}, {"metadata", "annotations", "a/b"}}
			}
			if diff := cmp.Diff(want, Ignored([]*linkv1.DriftIgnore{c.rule}, id)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	deployments := schema.GroupResource{Group: "apps", Resource: "deployments"}
	forbidden := apierrors.NewForbidden(deployments, "web", errors.New(
		`User "system:serviceaccount:p:t" cannot patch resource "deployments" in API group "apps" in the namespace "shop"`))
	impersonate := apierrors.NewForbidden(schema.GroupResource{Resource: "serviceaccounts"}, "t", errors.New(
		`User "agent" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "p"`))
	leak := apierrors.NewBadRequest(`.data.password: expected string, got &value.valueUnstructured{Value:hunter2}`)
	cases := map[string]struct {
		reason string
		err    error
		kind   string
		want   string
	}{
		"Forbidden": {"says the right and the chart's value", forbidden, "Deployment",
			`forbidden: ServiceAccount "t" may not patch deployments.apps in namespace "shop": the cluster's owner grants it with the agent chart's value tenants[namespace=fleet].namespaces or .rules`},
		"Impersonate": {"", impersonate, "Deployment",
			`forbidden: the agent may not act as ServiceAccount "t": the cluster's owner allows it with the agent chart's value tenants[namespace=fleet]`},
		"SecretValues": {"no value of a Secret gets into a message", leak, "Secret",
			`invalid: the API server refuses the Secret; its reasons are not shown, as they may hold values`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := Explain(c.err, "t", Request{Bundle: "fleet/a", ID: content.ObjectID{Kind: c.kind, Name: "web"}})
			if diff := cmp.Diff(c.want, got.Error()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestLeaveToOthers(t *testing.T) {
	live := func(fields map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"managedFields": []any{map[string]any{"manager": "periplus", "operation": "Apply", "fieldsV1": fields}}},
			"spec":     map[string]any{"replicas": int64(5), "paused": true}}}
	}
	cases := map[string]struct {
		reason string
		fields map[string]any
		want   map[string]any
	}{
		"StillOurs": {"dropping it from the patch would remove the field", map[string]any{"f:spec": map[string]any{"f:replicas": map[string]any{}}},
			map[string]any{"paused": true, "replicas": int64(5)}},
		"Anothers": {"", map[string]any{"f:spec": map[string]any{"f:paused": map[string]any{}}}, map[string]any{"paused": true}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"replicas": int64(1), "paused": true}}}
			leaveToOthers(object, live(c.fields), []owned.Pointer{{"spec", "replicas"}, {"spec", "absent"}})
			if diff := cmp.Diff(c.want, object.Object["spec"]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

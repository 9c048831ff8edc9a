package owned_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/agent/owned"
	"github.com/periplus-fleet/periplus/api/content"
)

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
  namespace: x
  annotations: {fleet.periplus.dev/owner: "fleet/a:apps/Deployment/x/app"}
  managedFields:
  - manager: periplus
    operation: Apply
    fieldsV1:
      f:metadata: {f:annotations: {"f:fleet.periplus.dev/owner": {}}}
      f:spec:
        f:replicas: {}
        f:template: {f:spec: {f:containers: {'k:{"name":"main"}': {.: {}, f:image: {}, f:name: {}}}}}
  - manager: kube-controller-manager
    operation: Update
    subresource: status
    fieldsV1: {f:status: {}}
spec:
  replicas: 2
  template: {spec: {containers: [{name: side, image: other}, {name: main, image: app:1, imagePullPolicy: Always}]}}
`

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	live := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &live.Object); err != nil {
		t.Fatal(err)
	}
	return live
}

func set(live *unstructured.Unstructured, value any, fields ...string) {
	if err := unstructured.SetNestedField(live.Object, value, fields...); err != nil {
		panic(err)
	}
}

func containers(live *unstructured.Unstructured) []any {
	found, _, _ := unstructured.NestedSlice(live.Object, "spec", "template", "spec", "containers")
	return found
}

func fields(live *unstructured.Unstructured) map[string]any {
	entries, _, _ := unstructured.NestedSlice(live.Object, "metadata", "managedFields")
	return entries[0].(map[string]any)
}

func TestDigest(t *testing.T) {
	cases := map[string]struct {
		reason  string
		change  func(*unstructured.Unstructured)
		ignored []owned.Pointer
		same    bool
	}{
		"Unchanged":     {"", func(*unstructured.Unstructured) {}, nil, true},
		"AnothersField": {"defaults and controllers are no drift", func(l *unstructured.Unstructured) { set(l, int64(5), "spec", "minReadySeconds") }, nil, true},
		"AnothersInItem": {"", func(l *unstructured.Unstructured) {
			set(l, containers(l)[1:], "spec", "template", "spec", "containers")
		}, nil, true},
		"OwnValue": {"even by one that uses our field manager", func(l *unstructured.Unstructured) { set(l, int64(3), "spec", "replicas") }, nil, false},
		"OwnItemGone": {"", func(l *unstructured.Unstructured) {
			set(l, containers(l)[:1], "spec", "template", "spec", "containers")
		}, nil, false},
		"OwnershipLost": {"another took the field and wrote the same value", func(l *unstructured.Unstructured) {
			entry := fields(l)
			unstructured.RemoveNestedField(entry, "fieldsV1", "f:spec", "f:replicas")
			set(l, []any{entry}, "metadata", "managedFields")
		}, nil, false},
		"IgnoredValue": {"", func(l *unstructured.Unstructured) { set(l, int64(3), "spec", "replicas") }, []owned.Pointer{owned.ParsePointer("/spec/replicas")}, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			before, after := parse(t, deployment), parse(t, deployment)
			c.change(after)
			if same := owned.Digest(before, c.ignored) == owned.Digest(after, c.ignored); same != c.same {
				t.Errorf("%s: same is %v", c.reason, same)
			}
		})
	}
}

func TestOwns(t *testing.T) {
	live := parse(t, deployment)
	for pointer, want := range map[string]bool{
		"/spec/replicas": true, "/spec": true, "/spec/template/spec/containers/1/image": true,
		"/spec/template/spec/containers/0/image": false, "/spec/minReadySeconds": false,
		"/metadata/annotations/fleet.periplus.dev~1owner": true,
	} {
		if got := owned.Owns(live, owned.ParsePointer(pointer)); got != want {
			t.Errorf("owns %s is %v", pointer, got)
		}
	}
}

func TestBundle(t *testing.T) {
	id := content.ObjectID{Group: "apps", Kind: "Deployment", Namespace: "x", Name: "app"}
	live := parse(t, deployment)
	if got := owned.Bundle(live, id); got != "fleet/a" {
		t.Errorf("bundle is %q", got)
	}
	id.Name = "copy"
	if got := owned.Bundle(live, id); got != "" {
		t.Errorf("a copy's bundle is %q", got)
	}
	id.Name = "app"
	unstructured.RemoveNestedField(live.Object, "metadata", "managedFields")
	if got := owned.Bundle(live, id); got != "" {
		t.Errorf("the bundle of an object that the agent never applied is %q", got)
	}
}

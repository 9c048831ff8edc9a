package member

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// Bundle is what the hub wants of one bundle.
type Bundle struct {
	Name    string
	Options *linkv1.Options
	Objects []map[string]any
}

func (b Bundle) content() (content.Manifest, map[content.Digest][]byte, error) {
	manifest, blobs := content.Manifest{DefaultNamespace: Space}, map[content.Digest][]byte{}
	for _, object := range b.Objects {
		data, err := content.CanonicalJSON(object)
		if err != nil {
			return content.Manifest{}, nil, fmt.Errorf("cannot encode an object of bundle %q: %w", b.Name, err)
		}
		live := unstructured.Unstructured{Object: object}
		kind, sum := live.GroupVersionKind(), content.Sum(data)
		blobs[sum] = data
		manifest.Items = append(manifest.Items, content.Item{Phase: content.PhaseOf(kind.Group, kind.Kind), Digest: sum,
			ObjectID: content.ObjectID{Group: kind.Group, Kind: kind.Kind, Namespace: live.GetNamespace(), Name: live.GetName()}})
	}
	manifest.Sort()
	return manifest, blobs, nil
}

// ValueAnnotation of every Sample is its value, whatever its kind.
const ValueAnnotation = "sample.periplus.dev/value"

// SampleKinds are those that samples take turns of, by number.
var SampleKinds = []schema.GroupVersionResource{
	{Version: "v1", Resource: "configmaps"}, {Version: "v1", Resource: "serviceaccounts"}, {Version: "v1", Resource: "services"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
}

// Sample is an object of a usual kind and size.
func Sample(kind int, name, value string) map[string]any {
	meta := map[string]any{"name": name, "labels": map[string]any{"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "sample"},
		"annotations": map[string]any{ValueAnnotation: value}}
	switch kind % len(SampleKinds) {
	case 0:
		return map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta,
			"data": map[string]any{"value": value, "text": filler}}
	case 1:
		return map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
	case 2:
		return map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": map[string]any{
			"selector": map[string]any{"app.kubernetes.io/name": name, "value": value},
			"ports":    []any{map[string]any{"name": "http", "port": int64(80), "targetPort": int64(8080)}}}}
	default:
		return map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta, "rules": []any{
			map[string]any{"apiGroups": []any{""}, "resources": []any{"configmaps"}, "resourceNames": []any{value}, "verbs": []any{"get"}}}}
	}
}

// filler is about 1 KiB, the size of a small object.
var filler = func() string {
	text := ""
	for i := range 64 {
		text += fmt.Sprintf("setting-%04d=on;", i)
	}
	return text
}()

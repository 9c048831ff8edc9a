package query

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// masked stands where a value is not shown.
const masked = "<masked>"

// lastApplied is where kubectl keeps what it applied, values of Secrets among it.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// view is an object as people see it: JSON without what only machines read, and without values where they are secret. Nil
// for none.
func view(object *unstructured.Unstructured, secret bool) ([]byte, error) {
	if object == nil {
		return nil, nil
	}
	return json.Marshal(shown(object, secret).Object)
}

func shown(object *unstructured.Unstructured, secret bool) *unstructured.Unstructured {
	out := object.DeepCopy()
	out.SetManagedFields(nil)
	unstructured.RemoveNestedField(out.Object, "metadata", "annotations", lastApplied)
	if out.GetKind() == "Secret" && out.GroupVersionKind().Group == "" {
		secret = true
	}
	if !secret {
		return out
	}
	for key, value := range out.Object {
		switch key {
		case "apiVersion", "kind", "type", "immutable", "status":
		case "metadata":
			// Annotations of a decrypted object may be made of what was secret.
			if metadata, ok := value.(map[string]any); ok && metadata["annotations"] != nil {
				metadata["annotations"] = mask(metadata["annotations"])
			}
		default:
			out.Object[key] = mask(value)
		}
	}
	return out
}

// mask keeps the shape of a value and none of its leaves.
func mask(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key := range value {
			value[key] = mask(value[key])
		}
		return value
	case []any:
		for i := range value {
			value[i] = mask(value[i])
		}
		return value
	default:
		return masked
	}
}

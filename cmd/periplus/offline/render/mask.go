package render

import "reflect"

// masked stands for a secret value. Where two sides are compared, a value that differs says on which side it stands.
const masked = "***"

// mask hides every value of an object that may be secret: those of a Secret's data, or all but its identity where the whole
// rendering is secret. other is the object on the other side of a comparison, nil where there is none, and side the word for
// this one. The object stays as it is.
func mask(object, other map[string]any, whole bool, side string) map[string]any {
	out := make(map[string]any, len(object))
	for field, value := range object {
		switch {
		case field == "apiVersion" || field == "kind":
			out[field] = value
		case field == "metadata":
			out[field] = maskMetadata(value, other[field], whole, side)
		case whole || field == "data" || field == "stringData":
			out[field] = hide(value, other[field], other != nil, side)
		default:
			out[field] = value
		}
	}
	return out
}

// maskMetadata leaves names, and hides the annotation in which kubectl keeps a copy of the whole.
func maskMetadata(value, other any, whole bool, side string) any {
	metadata, _ := value.(map[string]any)
	before, _ := other.(map[string]any)
	out := make(map[string]any, len(metadata))
	for field, value := range metadata {
		if whole && field != "name" && field != "namespace" {
			value = hide(value, before[field], before != nil, side)
		}
		out[field] = value
	}
	const copied = "kubectl.kubernetes.io/last-applied-configuration"
	if annotations, ok := out["annotations"].(map[string]any); ok && annotations[copied] != nil {
		hidden := make(map[string]any, len(annotations))
		for key, value := range annotations {
			hidden[key] = value
		}
		hidden[copied] = masked
		out["annotations"] = hidden
	}
	return out
}

// hide keeps keys and the shape, and no value.
func hide(value, other any, compared bool, side string) any {
	switch typed := value.(type) {
	case map[string]any:
		before, _ := other.(map[string]any)
		out := make(map[string]any, len(typed))
		for key, field := range typed {
			out[key] = hide(field, before[key], compared, side)
		}
		return out
	case []any:
		before, _ := other.([]any)
		out := make([]any, len(typed))
		for i, item := range typed {
			var at any
			if i < len(before) {
				at = before[i]
			}
			out[i] = hide(item, at, compared, side)
		}
		return out
	}
	if compared && !reflect.DeepEqual(value, other) {
		return masked + " (" + side + ")"
	}
	return masked
}

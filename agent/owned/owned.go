// Package owned says what in a live object is the agent's: the marks that it puts on objects, and the fields that its
// field manager owns. Apply writes the marks, observe reads them, and both compare Digests of owned fields to tell drift
// from what defaulting, controllers and other managers do to the rest of an object.
package owned

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/api/content"
)

// Marks on every object that the agent applies. The label only selects what is watched: others copy labels. The
// annotation names the very object that it stands on, so that a copy is known as one.
const (
	ManagedLabel    = "fleet.periplus.dev/managed"
	OwnerAnnotation = "fleet.periplus.dev/owner"
)

// Owner is the value of OwnerAnnotation on an object of a bundle ("namespace/name").
func Owner(bundle string, id content.ObjectID) string {
	return bundle + ":" + strings.Join([]string{id.Group, id.Kind, id.Namespace, id.Name}, "/")
}

// Bundle is the bundle that the marks on a live object name; "" when it bears none, or a copy of another object's, or
// when the agent's field manager never applied it.
func Bundle(live *unstructured.Unstructured, id content.ObjectID) string {
	bundle, object, _ := strings.Cut(live.GetAnnotations()[OwnerAnnotation], ":")
	if object != strings.Join([]string{id.Group, id.Kind, id.Namespace, id.Name}, "/") || appliedFields(live) == nil {
		return ""
	}
	return bundle
}

// Pointer is a JSON pointer, split and unescaped.
type Pointer []string

// ParsePointer reads a JSON pointer (RFC 6901).
func ParsePointer(text string) Pointer {
	parts := strings.Split(strings.TrimPrefix(text, "/"), "/")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
	}
	return parts
}

// String writes the pointer as RFC 6901 has it.
func (p Pointer) String() string {
	var text strings.Builder
	for _, segment := range p {
		text.WriteByte('/')
		text.WriteString(strings.ReplaceAll(strings.ReplaceAll(segment, "~", "~0"), "/", "~1"))
	}
	return text.String()
}

// under says that p is at or below other.
func (p Pointer) under(other Pointer) bool {
	return len(p) >= len(other) && slices.Equal(p[:len(other)], other)
}

// Digest is over the fields that the agent owns in a live object and their values, less those at or below an ignored
// pointer. Another's change of such a field takes it from the agent's managed fields or changes its value, so the digest
// changes; nothing else changes it. "" when the agent owns nothing.
func Digest(live *unstructured.Unstructured, ignored []Pointer) string {
	fields := appliedFields(live)
	if fields == nil {
		return ""
	}
	type line struct {
		path string
		text []byte
	}
	var lines []line
	walk(fields, live.Object, "", nil, func(path string, at Pointer, value any, found bool) {
		for _, pointer := range ignored {
			if at.under(pointer) {
				return
			}
		}
		text := []byte("absent")
		if found {
			// Only values that came from JSON get here.
			text, _ = json.Marshal(value)
		}
		lines = append(lines, line{path + "=", text})
	})
	slices.SortFunc(lines, func(a, b line) int { return strings.Compare(a.path, b.path) })
	// Values may be large: they go into the hash as they are, without being put together first.
	sum := sha256.New()
	for i, l := range lines {
		if i > 0 {
			sum.Write([]byte("\n"))
		}
		sum.Write([]byte(l.path))
		sum.Write(l.text)
	}
	return hex.EncodeToString(sum.Sum(nil)[:12])
}

// Owns says whether the agent owns the field at a pointer, something below it, or the atomic whole that holds it.
func Owns(live *unstructured.Unstructured, pointer Pointer) bool {
	owns := false
	walk(appliedFields(live), live.Object, "", nil, func(_ string, at Pointer, _ any, found bool) {
		owns = owns || found && (at.under(pointer) || pointer.under(at))
	})
	return owns
}

// Others are the managers, other than the agent, that own a part of the object outside of its status, sorted.
func Others(live *unstructured.Unstructured) []string {
	entries, _, _ := unstructured.NestedSlice(live.Object, "metadata", "managedFields")
	var names []string
	for _, entry := range entries {
		entry, _ := entry.(map[string]any)
		name, _ := entry["manager"].(string)
		if part, _ := entry["subresource"].(string); part != "status" && name != kube.FieldManager && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// appliedFields is the fieldsV1 of what the agent applied.
func appliedFields(live *unstructured.Unstructured) map[string]any {
	for _, entry := range managers(live) {
		if isOurs(entry) {
			fields, _ := entry["fieldsV1"].(map[string]any)
			return fields
		}
	}
	return nil
}

// walk visits the leaves of a field set, with the value that each has in live.
func walk(fields map[string]any, live any, path string, at Pointer, visit func(path string, at Pointer, value any, found bool)) {
	for key, below := range fields {
		if key == "." {
			continue
		}
		value, segment, found := step(live, key)
		here := append(slices.Clip(at), segment)
		sub, _ := below.(map[string]any)
		switch _, itself := sub["."]; {
		case len(sub) == 0:
			visit(path+"/"+key, here, value, found)
		case len(sub) == 1 && itself:
			// Only that it is there is owned, not what is in it.
			visit(path+"/"+key, here, nil, found)
		default:
			walk(sub, value, path+"/"+key, here, visit)
		}
	}
}

// step follows one path element of fieldsV1: f:<field>, k:<keys of a list's item>, v:<item of a set>, i:<index>.
func step(live any, key string) (value any, segment string, found bool) {
	kind, rest, _ := strings.Cut(key, ":")
	if kind == "f" {
		object, _ := live.(map[string]any)
		value, found = object[rest]
		return value, rest, found
	}
	items, _ := live.([]any)
	var want any
	if json.Unmarshal([]byte(rest), &want) != nil {
		return nil, "", false
	}
	for i, item := range items {
		if kind == "k" && hasKeys(item, want) || kind == "v" && sameJSON(item, want) || kind == "i" && strconv.Itoa(i) == rest {
			return item, strconv.Itoa(i), true
		}
	}
	return nil, "", false
}

func hasKeys(item, keys any) bool {
	object, ok := item.(map[string]any)
	wanted, isMap := keys.(map[string]any)
	if !ok || !isMap {
		return false
	}
	for key, want := range wanted {
		// A key with a default, such as a port's protocol, may be absent in a kind that is not defaulted.
		if value, there := object[key]; there && !sameJSON(value, want) {
			return false
		}
	}
	return true
}

// sameJSON compares scalars whether their numbers were read as int64 or float64.
func sameJSON(a, b any) bool {
	left, _ := json.Marshal(a)
	right, _ := json.Marshal(b)
	return string(left) == string(right)
}

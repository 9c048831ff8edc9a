// Package apply puts objects into the cluster by server-side apply, one PATCH each, as the ServiceAccount that the
// cluster's owner allows the bundle's tenant. It never takes over an object that the agent did not create: the first
// apply of an object must create it, every later one names the UID that it created. What to apply is the reconciler's
// decision; what was applied goes to the inventory.
package apply

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/owned"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// Parse reads an object's content.
func Parse(data []byte) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("cannot decode content: %w", err)
	}
	return object, nil
}

// Kind of an object.
func Kind(object *unstructured.Unstructured) schema.GroupVersionKind {
	return object.GroupVersionKind()
}

// Prepare makes an object's content what is applied: with a namespace if its kind has one, and with the bundle's marks.
// It returns the identity in the cluster.
func Prepare(object *unstructured.Unstructured, resource kube.Resource, bundle, defaultNamespace string) content.ObjectID {
	if !resource.Namespaced {
		object.SetNamespace("")
	} else if object.GetNamespace() == "" {
		object.SetNamespace(defaultNamespace)
	}
	id := content.ObjectID{Group: resource.Group, Kind: resource.Kind, Namespace: object.GetNamespace(), Name: object.GetName()}
	unstructured.RemoveNestedField(object.Object, "status")
	foldStringData(object)
	labels, annotations := object.GetLabels(), object.GetAnnotations()
	if labels == nil {
		labels = map[string]string{}
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	labels[owned.ManagedLabel] = "true"
	annotations[owned.OwnerAnnotation] = owned.Owner(bundle, id)
	object.SetLabels(labels)
	object.SetAnnotations(annotations)
	return id
}

// foldStringData does to a Secret what the API server does: stringData is for writing alone, so that whoever applies it
// owns no field that exists, sees no drift, and can take nothing back.
func foldStringData(object *unstructured.Unstructured) {
	if object.GetKind() != "Secret" || object.GroupVersionKind().Group != "" {
		return
	}
	texts, ok := object.Object["stringData"].(map[string]any)
	data, plain := object.Object["data"].(map[string]any)
	if !ok || !plain && object.Object["data"] != nil {
		return
	}
	folded := maps.Clone(data)
	if folded == nil {
		folded = make(map[string]any, len(texts))
	}
	for key, value := range texts {
		text, ok := value.(string)
		if !ok {
			// The API server says what is wrong with it.
			return
		}
		folded[key] = base64.StdEncoding.EncodeToString([]byte(text))
	}
	delete(object.Object, "stringData")
	object.Object["data"] = folded
}

// Folded are pointers into content as pointers into what is applied of it.
func Folded(pointers []owned.Pointer, id content.ObjectID) []owned.Pointer {
	if id.Kind != "Secret" || id.Group != "" {
		return pointers
	}
	for i, pointer := range pointers {
		if len(pointer) > 0 && pointer[0] == "stringData" {
			pointers[i] = append(owned.Pointer{"data"}, pointer[1:]...)
		}
	}
	return pointers
}

// Ignored are the pointers that drift rules leave to others in an object.
func Ignored(rules []*linkv1.DriftIgnore, id content.ObjectID) []owned.Pointer {
	var pointers []owned.Pointer
	for _, rule := range rules {
		if !concerns(rule, id) {
			continue
		}
		for _, pointer := range rule.GetPointers() {
			pointers = append(pointers, owned.ParsePointer(pointer))
		}
	}
	return pointers
}

func concerns(rule *linkv1.DriftIgnore, id content.ObjectID) bool {
	return matches(rule.GetGroup(), id.Group) && matches(rule.GetKind(), id.Kind) &&
		matches(rule.GetNamespace(), id.Namespace) && wildcard(rule.GetName(), id.Name)
}

func matches(want, have string) bool { return want == "" || want == have }

func wildcard(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

// Input names everything but the content that goes into an apply: another value means that the object is applied anew.
func Input(account string, ignored []owned.Pointer, managers []string) string {
	data, _ := json.Marshal(inputs(account, ignored, managers))
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:6])
}

// leaveToOthers takes the ignored fields of a patch back to what lives: a field that the agent still owns keeps its live
// value, any other is left out, so that it is neither claimed nor removed.
func leaveToOthers(object, live *unstructured.Unstructured, ignored []owned.Pointer) {
	for _, pointer := range ignored {
		if _, ok := lookup(object.Object, pointer); !ok {
			continue
		}
		value, found := lookup(live.Object, pointer)
		if found && owned.Owns(live, pointer) {
			object.Object = change(object.Object, pointer, value, true).(map[string]any)
		} else {
			object.Object = change(object.Object, pointer, nil, false).(map[string]any)
		}
	}
}

func lookup(value any, pointer owned.Pointer) (any, bool) {
	for _, segment := range pointer {
		switch at := value.(type) {
		case map[string]any:
			next, ok := at[segment]
			if !ok {
				return nil, false
			}
			value = next
		case []any:
			i, err := strconv.Atoi(segment)
			if err != nil || i < 0 || i >= len(at) {
				return nil, false
			}
			value = at[i]
		default:
			return nil, false
		}
	}
	return value, true
}

// change sets or removes what a pointer names, which lookup found.
func change(value any, pointer owned.Pointer, to any, set bool) any {
	if len(pointer) == 0 {
		return to
	}
	switch at := value.(type) {
	case map[string]any:
		if len(pointer) == 1 && !set {
			delete(at, pointer[0])
			return at
		}
		at[pointer[0]] = change(at[pointer[0]], pointer[1:], to, set)
		return at
	case []any:
		i, err := strconv.Atoi(pointer[0])
		if err != nil || i < 0 || i >= len(at) {
			return at
		}
		if len(pointer) == 1 && !set {
			return slices.Delete(at, i, i+1)
		}
		at[i] = change(at[i], pointer[1:], to, set)
		return at
	default:
		return value
	}
}

// group of a CustomResourceDefinition's name, "<plural>.<group>".
func crdGroup(name string) string {
	_, group, _ := strings.Cut(name, ".")
	return group
}

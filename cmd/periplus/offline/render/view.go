package render

import (
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/api/content"
	hubrender "github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
)

// view is one object as a person sees it.
type view struct {
	item content.Item
	// namespace that the agent gives the object if its kind has namespaces; "" where it names its own.
	namespace string
	// value is the masked object; nil where it is sealed.
	value map[string]any
	// sealed is what the cluster opens.
	sealed *content.SealedObject
}

// look at an object of a variant; other is the same object on the other side of a comparison, whose side is named.
func look(variant *hubrender.Variant, item content.Item, showSecrets bool, other map[string]any, side string) (view, error) {
	out := view{item: item}
	if item.Namespace == "" {
		out.namespace = variant.Manifest.DefaultNamespace
	}
	blob := variant.Blobs[item.Digest]
	if item.Sealed {
		out.sealed = &content.SealedObject{}
		return out, json.Unmarshal(blob, out.sealed)
	}
	object, err := yamldoc.ObjectFromJSON(blob)
	if err != nil {
		return out, fmt.Errorf("cannot read %s again: %w", item.ObjectID, err)
	}
	if out.value = object; item.Digest.Secret() && !showSecrets {
		out.value = mask(object, other, variant.Secret, side)
	}
	return out, nil
}

// plain is the object that a digest names; nil where it is sealed or not there.
func plain(variant *hubrender.Variant, item content.Item) map[string]any {
	if item.Sealed {
		return nil
	}
	object, err := yamldoc.ObjectFromJSON(variant.Blobs[item.Digest])
	if err != nil {
		return nil
	}
	return object
}

// notes say what an object is besides its content.
func (v view) notes() []string {
	var out []string
	if v.namespace != "" {
		out = append(out, "namespace: "+v.namespace+" (where the kind has namespaces)")
	}
	if hook := v.item.Hook; hook != nil {
		out = append(out, fmt.Sprintf("hook: %s, weight %d%s", strings.Join(hook.Events, ", "), hook.Weight, policies(hook)))
	}
	if len(v.item.Once) > 0 {
		out = append(out, "generated once for each cluster: "+strings.Join(v.item.Once, ", "))
	}
	if v.sealed != nil {
		out = append(out, "sealed: the cluster opens it"+v.afterwards())
	}
	return out
}

func policies(hook *content.Hook) string {
	if len(hook.DeletePolicies) == 0 {
		return ""
	}
	return ", deleted " + strings.Join(hook.DeletePolicies, ", ")
}

// afterwards says what is done to a sealed object once it is open.
func (v view) afterwards() string {
	var parts []string
	for _, patch := range v.sealed.Patches {
		parts = append(parts, "patch "+patch)
	}
	for _, set := range v.sealed.Set {
		value, err := content.CanonicalJSON(set.Value)
		if err == nil {
			parts = append(parts, "set "+set.Pointer+" "+string(value))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ", then: " + strings.Join(parts, "; ")
}

// text is the object in YAML, the sealed one word for word.
func (v view) text() (string, error) {
	if v.sealed != nil {
		return strings.TrimRight(v.sealed.Document, "\n") + "\n", nil
	}
	data, err := content.CanonicalJSON(v.value)
	if err != nil {
		return "", err
	}
	text, err := yaml.JSONToYAML(data)
	return string(text), err
}

// commented is the notes, as comments, and the text.
func (v view) commented() (string, error) {
	text, err := v.text()
	var out strings.Builder
	for _, note := range v.notes() {
		out.WriteString("# " + note + "\n")
	}
	return out.String() + text, err
}

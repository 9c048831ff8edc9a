package engine

import (
	"fmt"
	"maps"
	"strings"
)

// Expand makes what ExpansionTemplates say that a controller would make of an object, such as the Pod of a Deployment. The
// objects have the namespace of the one that they come from, and are Generated.
func Expand(of Admission, templates []map[string]any) ([]Admission, error) {
	id, err := identify(of.Object, "")
	if err != nil {
		return nil, err
	}
	version, _ := of.Object["apiVersion"].(string)
	if _, after, grouped := strings.Cut(version, "/"); grouped {
		version = after
	}
	var out []Admission
	for _, t := range templates {
		spec := dig(t, []string{"spec"})
		if t["kind"] != "ExpansionTemplate" || !applies(spec, id.Group, version, id.Kind) {
			continue
		}
		source, _ := spec["templateSource"].(string)
		if source == "" {
			return nil, fmt.Errorf("cannot expand %s: an ExpansionTemplate needs spec.templateSource", id)
		}
		made := maps.Clone(dig(of.Object, strings.Split(source, ".")))
		if made == nil {
			return nil, fmt.Errorf("cannot expand %s: it has no %s", id, source)
		}
		gvk := dig(spec, []string{"generatedGVK"})
		group, _ := gvk["group"].(string)
		made["apiVersion"], made["kind"] = fmt.Sprint(gvk["version"]), gvk["kind"]
		if group != "" {
			made["apiVersion"] = fmt.Sprint(group, "/", gvk["version"])
		}
		metadata := map[string]any{"name": id.Name + "-" + strings.ToLower(fmt.Sprint(gvk["kind"]))}
		maps.Copy(metadata, dig(made, []string{"metadata"}))
		if id.Namespace != "" {
			metadata["namespace"] = id.Namespace
		}
		made["metadata"] = metadata
		out = append(out, Admission{Object: made, Operation: of.Operation, UserInfo: of.UserInfo, Namespace: of.Namespace, Generated: true, Inventory: of.Inventory})
	}
	return out, nil
}

// applies says whether spec.applyTo names a kind.
func applies(spec map[string]any, group, version, kind string) bool {
	entries, _ := spec["applyTo"].([]any)
	for _, entry := range entries {
		e, _ := entry.(map[string]any)
		if among(texts(e["groups"]), group) && among(texts(e["versions"]), version) && among(texts(e["kinds"]), kind) {
			return true
		}
	}
	return false
}

func texts(value any) []string {
	list, _ := value.([]any)
	out := make([]string, 0, len(list))
	for _, one := range list {
		text, _ := one.(string)
		out = append(out, text)
	}
	return out
}

package argocd

import (
	"maps"
	"slices"
	"strings"
)

// edit writes an application's options into the kustomization itself, as Argo CD does before it builds.
func (k *kustomization) edit(object map[string]any) {
	for field, value := range map[string]string{"namePrefix": k.NamePrefix, "nameSuffix": k.NameSuffix, "namespace": k.Namespace} {
		if value != "" {
			object[field] = value
		}
	}
	images, _ := object["images"].([]any)
	for _, text := range k.Images {
		images = replaced(images, image(text))
	}
	if len(k.Images) > 0 {
		object["images"] = images
	}
	counts, _ := object["replicas"].([]any)
	for _, one := range k.Replicas {
		counts = replaced(counts, map[string]any{"name": one.Name, "count": one.Count})
	}
	if len(k.Replicas) > 0 {
		object["replicas"] = counts
	}
	if len(k.CommonLabels) > 0 {
		k.label(object)
	}
	if len(k.Annotations) > 0 {
		object["commonAnnotations"] = joined(object["commonAnnotations"], k.Annotations)
	}
	patches, _ := object["patches"].([]any)
	for _, patch := range k.Patches {
		patches = append(patches, patch)
	}
	if len(k.Patches) > 0 {
		object["patches"] = patches
	}
	components, _ := object["components"].([]any)
	for _, component := range k.Components {
		components = append(components, component)
	}
	if len(k.Components) > 0 {
		object["components"] = components
	}
}

func (k *kustomization) label(object map[string]any) {
	if !k.WithoutSelector {
		object["commonLabels"] = joined(object["commonLabels"], k.CommonLabels)
		return
	}
	labels, _ := object["labels"].([]any)
	entry := map[string]any{"pairs": joined(nil, k.CommonLabels), "includeSelectors": false}
	if k.IncludeTemplates {
		entry["includeTemplates"] = true
	}
	object["labels"] = append(labels, entry)
}

func joined(have any, more map[string]string) map[string]any {
	out := map[string]any{}
	if object, ok := have.(map[string]any); ok {
		maps.Copy(out, object)
	}
	for key, value := range more {
		out[key] = value
	}
	return out
}

// replaced puts an entry in the place of the one with its name.
func replaced(list []any, entry map[string]any) []any {
	list = slices.Clone(list)
	for i, one := range list {
		if have, ok := one.(map[string]any); ok && have["name"] == entry["name"] {
			list[i] = entry
			return list
		}
	}
	return append(list, entry)
}

// image reads name=new:tag, name:tag and name@digest.
func image(text string) map[string]any {
	out := map[string]any{}
	name, target, renamed := strings.Cut(text, "=")
	if !renamed {
		target = name
	}
	base := target
	if before, digest, found := strings.Cut(target, "@"); found {
		base, out["digest"] = before, digest
	} else if cut := strings.LastIndex(target, ":"); cut > strings.LastIndex(target, "/") {
		base, out["newTag"] = target[:cut], target[cut+1:]
	}
	out["name"] = base
	if renamed {
		out["name"], out["newName"] = name, base
	}
	return out
}

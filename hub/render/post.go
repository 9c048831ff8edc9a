package render

import (
	"fmt"
	"path"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// post changes copies of the base's objects: labels, then patches, then values by pointer.
func post(in Input, base []renderer.Object) ([]renderer.Object, error) {
	if len(in.Inputs.Labels)+len(in.Inputs.Patches)+len(in.Inputs.Set) == 0 {
		return base, nil
	}
	objects := make([]renderer.Object, len(base))
	for i, object := range base {
		if _, problem := identify(object.Value); problem != "" {
			file, line := splitSource(object.Source)
			return nil, renderer.Refuse(file, line, "%s", problem)
		}
		objects[i] = renderer.Object{Value: runtime.DeepCopyJSON(object.Value), Source: object.Source}
		addLabels(objects[i].Value, in.Inputs.Labels)
	}
	var err error
	for i, patch := range in.Inputs.Patches {
		if objects, err = applyPatch(objects, patch); err != nil {
			return nil, mistake(in, in.patchField(i), err)
		}
	}
	for _, set := range in.Inputs.Set {
		matched := false
		for i := range objects {
			if !matches(set.Target, objects[i].Value) {
				continue
			}
			matched = true
			if err := setPointer(objects[i].Value, set.Pointer, set.Value); err != nil {
				return nil, mistake(in, set.Field, fmt.Errorf("%s: %w", describe(objects[i].Value), err))
			}
		}
		if !matched {
			return nil, mistake(in, set.Field+".target", errNoMatch)
		}
	}
	return objects, nil
}

// patchField names the i-th patch in bundle.yaml: the bundle's own come first.
func (in Input) patchField(i int) string {
	if own := len(in.Bundle.Spec.Patches); i >= own {
		return fmt.Sprintf("spec.targets: patches[%d]", i-own)
	}
	return fmt.Sprintf("spec.patches[%d]", i)
}

func mistake(in Input, field string, err error) error {
	return renderer.Refuse(in.Bundle.File, in.Bundle.LineOf(field), "%s: %v", field, err)
}

func addLabels(object map[string]any, labels map[string]string) {
	if len(labels) == 0 {
		return
	}
	metadata := object["metadata"].(map[string]any)
	have, ok := metadata["labels"].(map[string]any)
	if !ok {
		have = map[string]any{}
		metadata["labels"] = have
	}
	for key, value := range labels {
		have[key] = value
	}
}

// matches says whether an object is meant; an empty field means all.
func matches(match v1alpha1.ObjectMatch, object map[string]any) bool {
	id, problem := identify(object)
	if problem != "" {
		return false
	}
	named := match.Name == ""
	if !named {
		named, _ = path.Match(match.Name, id.Name)
	}
	return named && (match.Group == "" || match.Group == id.Group) && (match.Kind == "" || match.Kind == id.Kind) &&
		(match.Namespace == "" || match.Namespace == id.Namespace)
}

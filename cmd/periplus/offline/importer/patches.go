package importer

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// PatchesOf turns a kustomization that stands behind a chart into patches of a bundle. What of it is no patch is returned as
// the names of its fields.
func PatchesOf(files fs.FS, folder string, d Document) (patches []v1alpha1.Patch, rest []string, err error) {
	for _, field := range slices.Sorted(maps.Keys(d.Object)) {
		list, _ := d.Object[field].([]any)
		switch field {
		case "apiVersion", "kind", "metadata":
		case "patches", "patchesJson6902", "patchesStrategicMerge":
			for i, one := range list {
				found, problem := patchEntry(files, folder, one)
				if problem != nil {
					return nil, nil, fmt.Errorf("%s: %w", d.At(fmt.Sprintf("%s[%d]", field, i)), problem)
				}
				patches = append(patches, found...)
			}
		default:
			rest = append(rest, field)
		}
	}
	return patches, rest, nil
}

// patchEntry is a text, the name of a file, or a mapping with target and one of both.
func patchEntry(files fs.FS, folder string, entry any) ([]v1alpha1.Patch, error) {
	var text string
	var target *v1alpha1.ObjectMatch
	switch typed := entry.(type) {
	case string:
		text = typed
		if !strings.Contains(typed, "\n") {
			data, err := fs.ReadFile(files, path.Join(folder, typed))
			if err != nil {
				return nil, err
			}
			text = string(data)
		}
	case map[string]any:
		text, _ = typed["patch"].(string)
		if name, ok := typed["path"].(string); ok {
			data, err := fs.ReadFile(files, path.Join(folder, name))
			if err != nil {
				return nil, err
			}
			text = string(data)
		}
		if chosen, ok := typed["target"].(map[string]any); ok {
			var err error
			if target, err = PatchTarget(chosen); err != nil {
				return nil, err
			}
		}
	default:
		return nil, errors.New("a patch is a text or a mapping")
	}
	return Patches(target, text)
}

// PatchTarget translates whom a kustomize patch is for.
func PatchTarget(target map[string]any) (*v1alpha1.ObjectMatch, error) {
	out := &v1alpha1.ObjectMatch{}
	for key, value := range target {
		text, _ := value.(string)
		plain, ok := Wildcard(text)
		switch {
		case key == "version":
		case key == "labelSelector" || key == "annotationSelector":
			return nil, fmt.Errorf("a patch cannot choose its objects by %s", key)
		case !ok:
			return nil, fmt.Errorf("target.%s: the pattern %q cannot be said with * alone", key, text)
		case key == "group":
			out.Group = plain
		case key == "kind":
			out.Kind = plain
		case key == "name":
			out.Name = plain
		case key == "namespace":
			out.Namespace = plain
		}
	}
	if strings.Contains(out.Group+out.Kind+out.Namespace, "*") {
		if strings.Trim(out.Group+out.Kind+out.Namespace, "*") != "" {
			return nil, errors.New("only a name can hold a pattern")
		}
		out.Group, out.Kind, out.Namespace = "", "", ""
	}
	return out, nil
}

// Wildcard turns a regular expression of the simplest kind into a pattern with *.
func Wildcard(expression string) (pattern string, ok bool) {
	expression = strings.TrimSuffix(strings.TrimPrefix(expression, "^"), "$")
	pattern = strings.ReplaceAll(expression, ".*", "*")
	pattern = strings.ReplaceAll(pattern, `\.`, ".")
	return pattern, !strings.ContainsAny(pattern, `\|()[]{}+?^$`)
}

// Patches splits a text into one patch per document.
func Patches(target *v1alpha1.ObjectMatch, text string) ([]v1alpha1.Patch, error) {
	literal, _ := Literal(text).(string)
	if strings.HasPrefix(strings.TrimSpace(text), "[") || strings.HasPrefix(strings.TrimSpace(text), "-") && !strings.HasPrefix(strings.TrimSpace(text), "---") {
		return []v1alpha1.Patch{{Target: target, Patch: literal}}, nil
	}
	documents, err := ParseDocuments("patch", []byte(text))
	if err != nil || len(documents) == 1 {
		return []v1alpha1.Patch{{Target: target, Patch: literal}}, err
	}
	var out []v1alpha1.Patch
	for _, d := range documents {
		data, err := encode(d.Object)
		if err != nil {
			return nil, err
		}
		split, _ := Literal(string(data)).(string)
		out = append(out, v1alpha1.Patch{Target: target, Patch: split})
	}
	return out, nil
}

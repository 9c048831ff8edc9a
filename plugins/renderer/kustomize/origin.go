package kustomize

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/periplus-fleet/periplus/plugins/renderer/manifests"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// origins are the objects that files declare, with file and line. The library could note the file itself, in annotations
// that patches and generators see: the output would not be that of "kustomize build" in every case.
type origins map[originKind][]origin

type originKind struct{ group, kind string }

type origin struct{ name, source string }

// find the declaration of an object of the output. Kustomizations change names by what they put before and after them, so
// the longest declared name that is part of the object's counts; otherwise is for objects that no file declares.
func (o origins) find(group, kind, name, otherwise string) string {
	best := origin{source: otherwise}
	for _, one := range o[originKind{group, kind}] {
		if one.name == name {
			return one.source
		}
		if len(one.name) > len(best.name) && strings.Contains(name, one.name) {
			best = one
		}
	}
	return best.source
}

func (o origins) add(group, kind, name, source string) {
	key := originKind{group, kind}
	o[key] = append(o[key], origin{name, source})
}

// note the objects of a file. What cannot be read is for the library to refuse: it may know better.
func (w *walk) note(file string, data []byte) {
	objects, err := manifests.Decode(file, data)
	var mistake *renderer.Error
	if errors.As(err, &mistake) {
		w.broken = append(w.broken, err)
	}
	for _, object := range objects {
		apiVersion, _ := object.Value["apiVersion"].(string)
		kind, _ := object.Value["kind"].(string)
		metadata, _ := object.Value["metadata"].(map[string]any)
		name, _ := metadata["name"].(string)
		group, _, hasGroup := strings.Cut(apiVersion, "/")
		if !hasGroup {
			group = ""
		}
		w.origins.add(group, kind, name, object.Source)
	}
}

// generated notes the ConfigMaps or Secrets that a kustomization makes.
func (v *visit) generated(field, kind string) {
	entries, _ := v.object[field].([]any)
	for i, entry := range entries {
		fields, _ := entry.(map[string]any)
		if name, _ := fields["name"].(string); name != "" {
			line := v.document.LineOf(fmt.Sprintf("%s[%d]", field, i))
			v.walk.origins.add("", kind, name, v.file+":"+strconv.Itoa(line))
		}
	}
}

var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

func itoa(i int) string { return strconv.Itoa(i) }

func eachField(fields map[string]any, at string, do func(key, at, text string) error) error {
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if err := each(fields[key], key, at+"/"+pointerEscape.Replace(key), do); err != nil {
			return err
		}
	}
	return nil
}

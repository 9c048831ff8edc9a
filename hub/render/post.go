package render

import (
	"errors"
	"fmt"
	"path"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

var errNoMatch = errors.New("no object of the bundle matches")

// post changes the base's objects: patches, then labels and annotations, then values by pointer. The base is shared and
// stays as it is; what nothing means keeps its Value, so that equal maps tell the caller what did not change.
//
// A sealed object is changed as if it were open, in what can be read of it: policy judges that. What its cluster does to it
// once it is open is the matter of sealedContent.
func post(in Input, base []renderer.Object) ([]renderer.Object, error) {
	if in.changesNothing() {
		return base, nil
	}
	work := posting{in: in, objects: make([]posted, len(base))}
	for i, object := range base {
		if _, problem := identify(object.Value); problem != "" {
			file, line := splitSource(object.Source)
			return nil, renderer.Refuse(file, line, "%s", problem)
		}
		work.objects[i] = posted{Object: object}
	}
	for i, declared := range in.Inputs.Patches {
		if err := work.patch(in.patchField(i), declared); err != nil {
			return nil, err
		}
	}
	for i := range work.objects {
		work.objects[i].addMetadata("labels", in.Inputs.Labels)
		work.objects[i].addMetadata("annotations", in.Inputs.Annotations)
	}
	for _, set := range in.Inputs.Set {
		if err := work.set(set.Field, set.Target, set.Pointer, set.Value); err != nil {
			return nil, err
		}
	}
	return work.result(), nil
}

func (in Input) changesNothing() bool {
	return len(in.Inputs.Labels)+len(in.Inputs.Annotations)+len(in.Inputs.Patches)+len(in.Inputs.Set) == 0
}

// posting is the work on one variant.
type posting struct {
	in      Input
	objects []posted
}

// posted is an object that is copied before its first change.
type posted struct {
	renderer.Object
	own, deleted bool
}

func (p *posted) value() map[string]any {
	if !p.own {
		p.Value, p.own = runtime.DeepCopyJSON(p.Value), true
	}
	return p.Value
}

// addMetadata adds labels or annotations; those of the same names are replaced.
func (p *posted) addMetadata(field string, values map[string]string) {
	if !p.deleted && len(values) > 0 {
		addMetadata(p.value(), field, values)
	}
}

func addMetadata(object map[string]any, field string, values map[string]string) {
	metadata := object["metadata"].(map[string]any)
	have, ok := metadata[field].(map[string]any)
	if !ok {
		have = make(map[string]any, len(values))
		metadata[field] = have
	}
	for key, value := range values {
		have[key] = value
	}
}

func (p *posting) patch(field string, declared v1alpha1.Patch) error {
	read, err := readPatch(declared)
	if err != nil {
		return mistake(p.in, field, err)
	}
	return p.each(field, read.match, func(object *posted) error {
		todo := read
		if object.Sealed != nil {
			todo = read.withoutTests()
		}
		changed, err := todo.apply(object.value())
		object.Value, object.deleted = changed, err == nil && changed == nil
		return err
	})
}

func (p *posting) set(field string, match v1alpha1.ObjectMatch, pointer string, value any) error {
	return p.each(field, match, func(object *posted) error { return setPointer(object.value(), pointer, value) })
}

// each does something to every object that a field of bundle.yaml means, and refuses a field that means none: it is a
// slip of the pen, and silence would hide it.
func (p *posting) each(field string, match v1alpha1.ObjectMatch, do func(*posted) error) error {
	matched := false
	for i := range p.objects {
		object := &p.objects[i]
		if object.deleted || !matches(match, object.Value) {
			continue
		}
		matched = true
		name := describe(object.Value)
		if err := do(object); err != nil {
			return mistake(p.in, field, fmt.Errorf("%s (%s): %w", name, object.Source, err))
		}
	}
	if !matched {
		return mistake(p.in, field, errNoMatch)
	}
	return nil
}

func (p *posting) result() []renderer.Object {
	objects := make([]renderer.Object, 0, len(p.objects))
	for _, object := range p.objects {
		if !object.deleted {
			objects = append(objects, object.Object)
		}
	}
	return objects
}

// patchField names the i-th patch in bundle.yaml.
func (in Input) patchField(i int) string {
	if i < len(in.Inputs.PatchFields) {
		return in.Inputs.PatchFields[i]
	}
	return fmt.Sprintf("spec.patches[%d]", i)
}

func mistake(in Input, field string, err error) error {
	return renderer.Refuse(in.Bundle.File, in.Bundle.LineOf(field), "%s: %v", field, err)
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

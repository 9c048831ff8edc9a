package render

import (
	"errors"
	"fmt"
	"slices"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
)

// maxCopied bounds what the copy operations of one patch may add to an object.
const maxCopied = 1 << 20

// patch is a patch that was read: exactly one of merge and ops is set.
type patch struct {
	match v1alpha1.ObjectMatch
	merge map[string]any
	ops   jsonpatch.Patch
}

func readPatch(declared v1alpha1.Patch) (patch, error) {
	documents, err := yamldoc.Parse([]byte(declared.Patch))
	if err != nil {
		return patch{}, err
	}
	if len(documents) != 1 {
		return patch{}, fmt.Errorf("a patch is one document, not %d", len(documents))
	}
	var read patch
	switch typed := documents[0].Value.(type) {
	case map[string]any:
		read.merge = typed
	case []any:
		if read.ops, err = readOperations(typed); err != nil {
			return patch{}, err
		}
	default:
		return patch{}, errors.New("a patch is a mapping (strategic merge) or a list of operations (JSON 6902)")
	}
	if declared.Target != nil {
		read.match = *declared.Target
		return read, nil
	}
	read.match, err = ownMatch(read.merge)
	return read, err
}

func readOperations(list []any) (jsonpatch.Patch, error) {
	text, err := content.CanonicalJSON(list)
	if err != nil {
		return nil, err
	}
	ops, err := jsonpatch.DecodePatch(text)
	if err != nil {
		return nil, fmt.Errorf("the operations cannot be read: %w", err)
	}
	return ops, nil
}

// ownMatch is the object that a strategic merge patch without target names itself.
func ownMatch(merge map[string]any) (v1alpha1.ObjectMatch, error) {
	if merge == nil {
		return v1alpha1.ObjectMatch{}, errors.New("a JSON 6902 patch needs a target")
	}
	id, problem := identify(merge)
	if problem != "" {
		return v1alpha1.ObjectMatch{}, errors.New("a patch without target names its object: " + problem)
	}
	return v1alpha1.ObjectMatch{Group: id.Group, Kind: id.Kind, Namespace: id.Namespace, Name: id.Name}, nil
}

// apply changes an object, which is the caller's own; nil when the patch deletes it. What a user wrote must not end the
// process, whatever the libraries make of it.
func (p patch) apply(object map[string]any) (changed map[string]any, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			changed, err = nil, fmt.Errorf("the patch cannot be applied: %v", caught)
		}
	}()
	before, _ := identify(object)
	if p.merge != nil {
		changed, err = strategicMerge(object, p.unnamed())
	} else {
		changed, err = operate(object, p.ops)
	}
	if err != nil || len(changed) == 0 {
		return nil, err
	}
	if after, problem := identify(changed); problem != "" || after != before {
		return nil, errors.New("a patch cannot change what names the object")
	}
	return changed, nil
}

// withoutTests leaves out the tests: an encrypted value can be tested by its cluster alone.
func (p patch) withoutTests() patch {
	p.ops = slices.DeleteFunc(slices.Clone(p.ops), func(op jsonpatch.Operation) bool { return op.Kind() == "test" })
	return p
}

// unnamed is the patch without what names an object: with a target, that says nothing.
func (p patch) unnamed() map[string]any {
	patch := runtime.DeepCopyJSON(p.merge)
	delete(patch, "apiVersion")
	delete(patch, "kind")
	if metadata, ok := patch["metadata"].(map[string]any); ok {
		delete(metadata, "name")
		delete(metadata, "namespace")
		if len(metadata) == 0 {
			delete(patch, "metadata")
		}
	}
	return patch
}

func operate(object map[string]any, ops jsonpatch.Patch) (map[string]any, error) {
	data, err := content.CanonicalJSON(object)
	if err != nil {
		return nil, err
	}
	options := jsonpatch.NewApplyOptions()
	options.AccumulatedCopySizeLimit = maxCopied
	changed, err := ops.ApplyWithOptions(data, options)
	if err != nil {
		return nil, explain(data, ops, options)
	}
	return yamldoc.ObjectFromJSON(changed)
}

// explain names the operation that failed, by doing them one by one.
func explain(data []byte, ops jsonpatch.Patch, options *jsonpatch.ApplyOptions) error {
	for i, op := range ops {
		changed, err := jsonpatch.Patch{op}.ApplyWithOptions(data, options)
		if err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
		data = changed
	}
	return errors.New("the operations do not apply together")
}

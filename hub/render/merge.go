package render

import (
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes/scheme"
)

// strategicMerge changes object, which is the caller's own, as kubectl patch does: lists of kinds that Kubernetes has
// itself are merged by the keys of their Go types, those of others are replaced. An object that is left empty was deleted
// by "$patch: delete".
func strategicMerge(object, patch map[string]any) (map[string]any, error) {
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	// The merge consumes the patch's directives.
	return strategicpatch.StrategicMergeMapPatchUsingLookupPatchMeta(object, runtime.DeepCopyJSON(patch), mergeKeysOf(apiVersion, kind))
}

func mergeKeysOf(apiVersion, kind string) strategicpatch.LookupPatchMeta {
	value, err := scheme.Scheme.New(schema.FromAPIVersionAndKind(apiVersion, kind))
	if err != nil {
		return plainKeys{}
	}
	return goKeys{strategicpatch.PatchMetaFromStruct{T: reflect.TypeOf(value).Elem()}}
}

// goKeys are those of a Go type. A field that the type has not, as newer versions of Kubernetes bring them, has none.
type goKeys struct {
	strategicpatch.PatchMetaFromStruct
}

func (k goKeys) LookupPatchMetadataForStruct(key string) (strategicpatch.LookupPatchMeta, strategicpatch.PatchMeta, error) {
	return orPlain(k.PatchMetaFromStruct.LookupPatchMetadataForStruct(key))
}

func (k goKeys) LookupPatchMetadataForSlice(key string) (strategicpatch.LookupPatchMeta, strategicpatch.PatchMeta, error) {
	return orPlain(k.PatchMetaFromStruct.LookupPatchMetadataForSlice(key))
}

func orPlain(below strategicpatch.LookupPatchMeta, keys strategicpatch.PatchMeta, err error) (strategicpatch.LookupPatchMeta, strategicpatch.PatchMeta, error) {
	if typed, ok := below.(strategicpatch.PatchMetaFromStruct); ok && err == nil {
		return goKeys{typed}, keys, nil
	}
	return plainKeys{}, strategicpatch.PatchMeta{}, nil
}

// plainKeys are those of a kind without Go type: none.
type plainKeys struct{}

func (plainKeys) LookupPatchMetadataForStruct(string) (strategicpatch.LookupPatchMeta, strategicpatch.PatchMeta, error) {
	return plainKeys{}, strategicpatch.PatchMeta{}, nil
}

func (plainKeys) LookupPatchMetadataForSlice(string) (strategicpatch.LookupPatchMeta, strategicpatch.PatchMeta, error) {
	return plainKeys{}, strategicpatch.PatchMeta{}, nil
}

func (plainKeys) Name() string { return "object" }

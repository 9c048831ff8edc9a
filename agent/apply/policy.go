package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/api/content"
)

// adopts says whether a policy takes over an object that no bundle of this cluster has: nil, or an ErrConflict that says who
// has it and which policy would take it. changes, which asks the API server, are the fields that would change.
func adopts(policy, keeper string, changes func() ([]string, error)) error {
	switch policy {
	case content.AdoptAlways:
		return nil
	case content.AdoptIfUnowned:
		if keeper != "" {
			return fmt.Errorf("%w: it exists and is managed by %s: take it out there first, or take it over with adopt: %s", ErrConflict, keeper, content.AdoptAlways)
		}
		return nil
	case content.AdoptIfEqual:
		fields, err := changes()
		if err != nil || len(fields) == 0 {
			return err
		}
		return fmt.Errorf("%w: it exists and is not managed by us%s, and would change in %s: make the bundle equal, or take it over with adopt: %s",
			ErrConflict, but(keeper), some(fields), taker(keeper))
	default:
		return fmt.Errorf("%w: it exists and is not managed by us%s: delete it, take it out of the bundle, or take it over with adopt: %s", ErrConflict, but(keeper), taker(keeper))
	}
}

// taker is the policy that takes an object over whatever its fields are.
func taker(keeper string) string {
	if keeper != "" {
		return content.AdoptAlways
	}
	return content.AdoptIfUnowned
}

func but(keeper string) string {
	if keeper == "" {
		return ""
	}
	return " but by " + keeper
}

const maxNamed = 5

func some(fields []string) string {
	text := strings.Join(fields[:min(len(fields), maxNamed)], ", ")
	if more := len(fields) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// differences are the fields that an adoption would change, as the API server sees it: those with another value, and those
// that would go because the tool that applied them has them no more. Marks of tools and of ours do not count.
func differences(ctx context.Context, client *kube.Client, request Request, live *unstructured.Unstructured) ([]string, error) {
	object := request.Object.DeepCopy()
	leaveToOthers(object, live, request.Ignored)
	leaveToManagers(object, live, request.Managers)
	object.SetUID(live.GetUID())
	after, err := client.DryApply(ctx, request.Resource, object)
	if err != nil {
		return nil, Explain(err, client.Account, request)
	}
	found := map[string]bool{}
	compare(settled(live), settled(after), nil, found)
	tools, others, ours := &fieldpath.Set{}, &fieldpath.Set{}, &fieldpath.Set{}
	collect(live, func(manager string) *fieldpath.Set {
		if isApplier(manager) {
			return tools
		}
		return others
	})
	collect(after, func(manager string) *fieldpath.Set {
		if manager == kube.FieldManager {
			return ours
		}
		return &fieldpath.Set{}
	})
	tools.Leaves().Difference(ours).Difference(others).Iterate(func(path fieldpath.Path) {
		if len(path) == 3 && path[0].FieldName != nil && *path[0].FieldName == "metadata" && path[2].FieldName != nil && isToolMark(*path[2].FieldName) {
			return
		}
		found[strings.TrimPrefix(path.String(), ".")] = true
	})
	return slices.Sorted(maps.Keys(found)), nil
}

// settled is an object without what every write changes, and without marks.
func settled(object *unstructured.Unstructured) map[string]any {
	bare := object.DeepCopy()
	for _, field := range []string{"managedFields", "resourceVersion", "generation"} {
		unstructured.RemoveNestedField(bare.Object, "metadata", field)
	}
	for _, field := range []string{"labels", "annotations"} {
		marks, _, _ := unstructured.NestedFieldNoCopy(bare.Object, "metadata", field)
		if marks, ok := marks.(map[string]any); ok {
			maps.DeleteFunc(marks, func(name string, _ any) bool { return isToolMark(name) })
		}
	}
	delete(bare.Object, "status")
	return bare.Object
}

// compare names the fields in which two values differ; an empty map is none.
func compare(before, after any, at []string, found map[string]bool) {
	left, leftMap := before.(map[string]any)
	right, rightMap := after.(map[string]any)
	if (leftMap || before == nil) && (rightMap || after == nil) && (leftMap || rightMap) {
		for key := range left {
			compare(left[key], right[key], append(slices.Clone(at), key), found)
		}
		for key, value := range right {
			if _, both := left[key]; !both {
				compare(nil, value, append(slices.Clone(at), key), found)
			}
		}
		return
	}
	if !reflect.DeepEqual(before, after) {
		found[strings.Join(at, ".")] = true
	}
}

// collect adds the fields of an object's managers to sets.
func collect(object *unstructured.Unstructured, to func(manager string) *fieldpath.Set) {
	for _, entry := range object.GetManagedFields() {
		if entry.Subresource == "" && entry.FieldsV1 != nil {
			set := to(entry.Manager)
			*set = *set.Union(decodeFields(entry))
		}
	}
}

func decodeFields(entry metav1.ManagedFieldsEntry) *fieldpath.Set {
	set := &fieldpath.Set{}
	if entry.FieldsV1 != nil {
		// What cannot be read is nobody's.
		_ = set.FromJSON(entry.FieldsV1.GetRawReader())
	}
	return set
}

// release takes from other tools what the agent had with them and declares no more, so that it goes: who ran kubectl apply
// on an object has its fields from then on, and would keep them for ever. before is the object as it was, after as it is
// applied. It says whether anything is to be applied once more.
func release(ctx context.Context, client *kube.Client, request Request, before, after *unstructured.Unstructured) (bool, error) {
	had, has := &fieldpath.Set{}, &fieldpath.Set{}
	only := func(set *fieldpath.Set) func(string) *fieldpath.Set {
		return func(manager string) *fieldpath.Set {
			if manager == kube.FieldManager {
				return set
			}
			return &fieldpath.Set{}
		}
	}
	collect(before, only(had))
	collect(after, only(has))
	dropped := had.Leaves().Difference(has)
	entries := after.GetManagedFields()
	taken := &fieldpath.Set{}
	for i, entry := range entries {
		if entry.Subresource != "" || !isApplier(entry.Manager) {
			continue
		}
		fields := decodeFields(entry)
		if shared := fields.Intersection(dropped); !shared.Empty() {
			taken = taken.Union(shared)
			if err := encodeFields(&entries[i], fields.Difference(shared)); err != nil {
				return false, err
			}
		}
	}
	if taken.Empty() {
		return false, nil
	}
	for i, entry := range entries {
		if entry.Subresource == "" && entry.Manager == kube.FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply {
			if err := encodeFields(&entries[i], decodeFields(entry).Union(taken)); err != nil {
				return false, err
			}
		}
	}
	patch, err := json.Marshal([]operation{{Op: "test", Path: "/metadata/resourceVersion", Value: after.GetResourceVersion()},
		{Op: "replace", Path: "/metadata/managedFields", Value: entries}})
	if err != nil {
		return false, err
	}
	return true, client.Patch(ctx, request.Resource, request.ID.Namespace, request.ID.Name, types.JSONPatchType, patch)
}

func encodeFields(entry *metav1.ManagedFieldsEntry, set *fieldpath.Set) error {
	raw, err := set.ToJSON()
	if err != nil {
		return fmt.Errorf("cannot encode the fields of %q: %w", entry.Manager, err)
	}
	entry.FieldsV1 = metav1.NewFieldsV1(string(raw))
	return nil
}

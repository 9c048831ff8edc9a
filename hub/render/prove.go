package render

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// maxDifferences that one message names.
const maxDifferences = 5

// prove renders content that is new a second time: output that differs would give every rendering another revision, and the
// fleet no rest. What generate.once names may differ.
func (r *Renderer) prove(ctx context.Context, plan basePlan, first []renderer.Object) error {
	if _, ok := r.proven.get(plan.proof); ok {
		return nil
	}
	if r.disk != nil {
		if _, ok := r.disk.Get(provenEntry + plan.proof); ok {
			r.proven.put(plan.proof, true, 1)
			return nil
		}
	}
	again, err := r.ask(ctx, plan)
	if err != nil {
		return fmt.Errorf("the second of two renderings failed: %w", err)
	}
	if err := sameOutput(plan.once, first, again.Objects); err != nil {
		return err
	}
	r.proven.put(plan.proof, true, 1)
	r.store(provenEntry, plan.proof, []byte("1"))
	return nil
}

func sameOutput(once []v1alpha1.FieldRule, first, second []renderer.Object) error {
	if len(first) != len(second) {
		return fmt.Errorf("two renderings gave %d and %d objects: the output must be the same each time", len(first), len(second))
	}
	for i := range first {
		allowed := pointersOf(once, first[i].Value)
		paths := slices.DeleteFunc(differences(first[i].Value, second[i].Value, ""), func(path string) bool {
			return slices.ContainsFunc(allowed, func(above string) bool { return covers(above, path) })
		})
		if len(paths) == 0 {
			continue
		}
		file, line := splitSource(first[i].Source)
		return renderer.Refuse(file, line, "%s: two renderings differ at %s: the output must be the same each time (no random values, dates or generated certificates)%s",
			describe(first[i].Value), strings.Join(paths[:min(len(paths), maxDifferences)], ", "), hint(first[i].Value, paths))
	}
	return nil
}

// hint says how to keep what differs, in bundle.yaml's words.
func hint(object map[string]any, paths []string) string {
	id, problem := identify(object)
	if problem != "" || slices.ContainsFunc(paths, namesObject) {
		return ""
	}
	return fmt.Sprintf("; to keep what the first rendering for a cluster gives, declare generate: {once: [{kind: %s, name: %s, pointers: [%s]}]}",
		id.Kind, id.Name, strings.Join(paths, ", "))
}

func namesObject(pointer string) bool {
	return slices.Contains([]string{"", "/apiVersion", "/kind", "/metadata", "/metadata/name", "/metadata/namespace"}, pointer)
}

// differences lists the JSON pointers at which two values differ.
func differences(a, b any, at string) []string {
	left, leftIsMap := a.(map[string]any)
	right, rightIsMap := b.(map[string]any)
	if leftIsMap && rightIsMap {
		keys := map[string]bool{}
		for key := range left {
			keys[key] = true
		}
		for key := range right {
			keys[key] = true
		}
		var out []string
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			out = append(out, differences(left[key], right[key], at+"/"+escape(key))...)
		}
		return out
	}
	one, oneIsList := a.([]any)
	two, twoIsList := b.([]any)
	if oneIsList && twoIsList && len(one) == len(two) {
		var out []string
		for i := range one {
			out = append(out, differences(one[i], two[i], fmt.Sprintf("%s/%d", at, i))...)
		}
		return out
	}
	if !reflect.DeepEqual(a, b) {
		return []string{at}
	}
	return nil
}

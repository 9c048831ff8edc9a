package render

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// maxDifferences that one message names.
const maxDifferences = 5

// prove renders content that is new a second time: output that differs would give every rendering another revision, and the
// fleet no rest.
func (r *Renderer) prove(ctx context.Context, plan basePlan, first []renderer.Object) error {
	if _, ok := r.proven.get(plan.content); ok {
		return nil
	}
	again, err := plan.renderer.Render(ctx, plan.request)
	if err != nil {
		return fmt.Errorf("the second of two renderings failed: %w", err)
	}
	if err := sameOutput(first, again.Objects); err != nil {
		return err
	}
	r.proven.put(plan.content, true, 1)
	return nil
}

func sameOutput(first, second []renderer.Object) error {
	if len(first) != len(second) {
		return fmt.Errorf("two renderings gave %d and %d objects: the output must be the same each time", len(first), len(second))
	}
	for i := range first {
		paths := differences(first[i].Value, second[i].Value, "")
		if len(paths) == 0 {
			continue
		}
		file, line := splitSource(first[i].Source)
		return renderer.Refuse(file, line, "%s: two renderings differ at %v: the output must be the same each time (no random values, dates or generated certificates)",
			describe(first[i].Value), paths[:min(len(paths), maxDifferences)])
	}
	return nil
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

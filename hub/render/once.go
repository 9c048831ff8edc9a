package render

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/render/generated"
	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// keptValues are what the first rendering for a cluster made up: they stand in the place of what later ones make up, so that
// a revision is the same at each rendering.
type keptValues struct {
	values generated.Values
}

// kept reads what a pair has. Where nobody keeps values, there are none.
func (r *Renderer) kept(ctx context.Context, plan basePlan) (keptValues, error) {
	if len(plan.once) == 0 || r.keeper == nil {
		return keptValues{}, nil
	}
	values, err := r.keeper.Generated(ctx, plan.pair)
	return keptValues{values}, err
}

// keep adds what a base has and nobody kept yet.
func (r *Renderer) keep(ctx context.Context, plan basePlan, base *base, kept keptValues) (keptValues, error) {
	if len(plan.once) == 0 {
		return kept, nil
	}
	made, err := generatedBy(plan.once, base.objects)
	if err != nil {
		return kept, err
	}
	added := generated.Values{}
	for field, value := range made {
		if _, ok := kept.values[field]; !ok {
			added[field] = value
		}
	}
	if r.keeper != nil && len(added) > 0 {
		if kept.values, err = r.keeper.PutGenerated(ctx, plan.pair, added); err != nil {
			return kept, err
		}
	}
	// Only what this rendering has and its rules name: what was kept for fields that are gone changes nothing.
	values := generated.Values{}
	for field, value := range made {
		values[field] = value
		if first, ok := kept.values[field]; ok {
			values[field] = first
		}
	}
	return keptValues{values}, nil
}

// generatedBy are the fields that rules name and objects have.
func generatedBy(rules []v1alpha1.FieldRule, objects []renderer.Object) (generated.Values, error) {
	values := generated.Values{}
	for _, object := range objects {
		id, problem := identify(object.Value)
		if problem != "" {
			continue
		}
		for _, pointer := range pointersOf(rules, object.Value) {
			found, ok := content.LookupPointer(object.Value, pointer)
			if !ok {
				continue
			}
			data, err := content.CanonicalJSON(found)
			if err != nil {
				return nil, err
			}
			values[generated.Field{Object: id, Pointer: pointer}] = data
		}
	}
	return values, nil
}

// pointersOf an object that rules name, sorted; one that lies below another is part of it.
func pointersOf(rules []v1alpha1.FieldRule, object map[string]any) []string {
	var all []string
	for _, rule := range rules {
		if matches(rule.ObjectMatch, object) {
			all = append(all, rule.Pointers...)
		}
	}
	slices.Sort(all)
	var out []string
	for _, pointer := range slices.Compact(all) {
		if !slices.ContainsFunc(out, func(above string) bool { return covers(above, pointer) }) {
			out = append(out, pointer)
		}
	}
	return out
}

// covers says whether a pointer leads to what another leads to, or to something around it.
func covers(above, pointer string) bool {
	return above == pointer || strings.HasPrefix(pointer, above+"/")
}

// putBack returns the objects with what was kept, and the pointers of each. What is not touched stays the caller's.
func (k keptValues) putBack(objects []renderer.Object) ([]renderer.Object, map[content.ObjectID][]string, error) {
	if len(k.values) == 0 {
		return objects, nil, nil
	}
	once := map[content.ObjectID][]string{}
	for field := range k.values {
		once[field.Object] = append(once[field.Object], field.Pointer)
	}
	objects = slices.Clone(objects)
	for i := range objects {
		object := &objects[i]
		id, _ := identify(object.Value)
		pointers := once[id]
		if len(pointers) == 0 {
			continue
		}
		slices.Sort(pointers)
		object.Value = clone(object.Value)
		for _, pointer := range pointers {
			value, err := decodeValue(k.values[generated.Field{Object: id, Pointer: pointer}])
			if err == nil {
				err = setPointer(object.Value, pointer, value)
			}
			if err != nil {
				return nil, nil, fmt.Errorf("cannot put back what was generated for %s: %w", id, err)
			}
		}
	}
	return objects, once, nil
}

func decodeValue(data json.RawMessage) (any, error) {
	object, err := yamldoc.ObjectFromJSON(slices.Concat([]byte(`{"value":`), data, []byte("}")))
	return object["value"], err
}

// sum names the values.
func (k keptValues) sum() string {
	fields := slices.SortedFunc(maps.Keys(k.values), func(a, b generated.Field) int {
		if order := a.Object.Compare(b.Object); order != 0 {
			return order
		}
		return strings.Compare(a.Pointer, b.Pointer)
	})
	var out strings.Builder
	for _, field := range fields {
		_, _ = fmt.Fprintf(&out, "%q %q %s\n", field.Object, field.Pointer, k.values[field])
	}
	return out.String()
}

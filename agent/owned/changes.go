package owned

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/periplus-fleet/periplus/agent/kube"
)

// Change is a field that the agent declares and no longer owns, or that no longer has the value that was declared. It
// holds no value: it may be a Secret's.
type Change struct {
	// Pointer into what is declared.
	Pointer Pointer
	// Manager that owns the field now, and Part the subresource that it wrote it through; "" when nobody owns it any more:
	// the API server does not record who removed a field.
	Manager string
	Part    string
	// Time (RFC 3339) of the manager's last write of its fields.
	Time string
}

// Autoscaled says that the change is a HorizontalPodAutoscaler's: replicas that its controller set through the scale
// subresource. A person who scales by hand has another manager's name.
func (c Change) Autoscaled() bool {
	return c.Part == "scale" && c.Manager == "kube-controller-manager"
}

// Scaled says that an autoscaler owns a part of the object.
func Scaled(live *unstructured.Unstructured) bool {
	return slices.ContainsFunc(managers(live), func(entry map[string]any) bool {
		manager, _ := entry["manager"].(string)
		part, _ := entry["subresource"].(string)
		return Change{Manager: manager, Part: part}.Autoscaled()
	})
}

// Matches says whether a field manager is one of those that patterns name, with * as a wildcard.
func Matches(patterns []string, manager string) bool {
	return manager != "" && slices.ContainsFunc(patterns, func(pattern string) bool {
		// A slash in a manager's name is a letter like any other.
		ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(manager, "/", "\x00"))
		return err == nil && ok
	})
}

// Changes are the declared fields that others have in a live object, and those that are gone, sorted by pointer. Fields
// at or below an ignored pointer, and those that the agent owns together with others, are none.
func Changes(declared map[string]any, live *unstructured.Unstructured, ignored []Pointer) []Change {
	mine := paths(appliedFields(live))
	found := claims(declared, live, ignored, func(path string) bool { return !mine[path] })
	gone := missing{keys: listKeys(live), report: func(at Pointer) {
		if !skipped(at, ignored) && !slices.ContainsFunc(found, func(c Change) bool { return at.under(c.Pointer) }) {
			found = append(found, Change{Pointer: at})
		}
	}}
	gone.look(declared, live.Object, nil, "")
	if len(found) == 0 {
		found = rewritten(declared, live, ignored)
	}
	slices.SortFunc(found, func(a, b Change) int { return slices.Compare(a.Pointer, b.Pointer) })
	return slices.CompactFunc(found, func(a, b Change) bool { return slices.Equal(a.Pointer, b.Pointer) })
}

// HeldBy are the declared fields that managers own, alone or together with the agent, sorted so that what comes last in a
// list comes first: removing them in this order moves none of those that follow.
func HeldBy(declared map[string]any, live *unstructured.Unstructured, holds func(Change) bool) []Pointer {
	var held []Pointer
	for _, change := range claims(declared, live, nil, func(string) bool { return true }) {
		if holds(change) && !isMark(change.Pointer) {
			held = append(held, change.Pointer)
		}
	}
	slices.SortFunc(held, func(a, b Pointer) int { return compareSegments(b, a) })
	return slices.CompactFunc(held, func(a, b Pointer) bool { return slices.Equal(a, b) })
}

// isMark says that a pointer is of one of the marks that the agent puts on objects: these are never left to others.
func isMark(at Pointer) bool {
	return len(at) == 3 && at[0] == "metadata" && (at[2] == ManagedLabel || at[2] == OwnerAnnotation)
}

func compareSegments(a, b Pointer) int {
	for i := range min(len(a), len(b)) {
		left, leftErr := strconv.Atoi(a[i])
		right, rightErr := strconv.Atoi(b[i])
		switch {
		case a[i] == b[i]:
		case leftErr == nil && rightErr == nil:
			return left - right
		default:
			return strings.Compare(a[i], b[i])
		}
	}
	return len(a) - len(b)
}

// claims are the declared fields that managers other than the agent own, outside of the status.
func claims(declared map[string]any, live *unstructured.Unstructured, ignored []Pointer, counts func(path string) bool) []Change {
	mine := paths(appliedFields(live))
	var found []Change
	for _, entry := range managers(live) {
		manager, _ := entry["manager"].(string)
		part, _ := entry["subresource"].(string)
		if part == "status" || isOurs(entry) {
			continue
		}
		at, _ := entry["time"].(string)
		fields, _ := entry["fieldsV1"].(map[string]any)
		walk(fields, declared, "", nil, func(path string, pointer Pointer, _ any, there bool) {
			// Of a map or a list's item that the agent has fields in, another may own that it is there.
			inner := mine[path+"/"]
			if there && !inner && !keyed(path) && counts(path) && !skipped(pointer, ignored) {
				found = append(found, Change{Pointer: slices.Clone(pointer), Manager: manager, Part: part, Time: at})
			}
		})
	}
	return found
}

// keyed says that a path is of a field that its list's item is keyed with: it goes and stays with the item.
func keyed(path string) bool {
	i := strings.LastIndex(path, "/f:")
	if i < 0 {
		return false
	}
	j := strings.LastIndex(path[:i], "/k:")
	if j < 0 {
		return false
	}
	var keys map[string]any
	if json.Unmarshal([]byte(path[j+3:i]), &keys) != nil {
		return false
	}
	_, is := keys[path[i+3:]]
	return is
}

// rewritten are the fields that the agent's own manager owns with another value than declared: somebody writes in its name.
func rewritten(declared map[string]any, live *unstructured.Unstructured, ignored []Pointer) []Change {
	values := map[string]any{}
	walk(appliedFields(live), live.Object, "", nil, func(path string, _ Pointer, value any, there bool) {
		if there {
			values[path] = value
		}
	})
	var found []Change
	walk(appliedFields(live), declared, "", nil, func(path string, pointer Pointer, value any, there bool) {
		if there && !skipped(pointer, ignored) && !covers(value, values[path]) {
			found = append(found, Change{Pointer: slices.Clone(pointer), Manager: kube.FieldManager})
		}
	})
	return found
}

func skipped(at Pointer, ignored []Pointer) bool {
	return slices.ContainsFunc(ignored, at.under)
}

func managers(live *unstructured.Unstructured) []map[string]any {
	metadata, _ := live.Object["metadata"].(map[string]any)
	entries, _ := metadata["managedFields"].([]any)
	found := make([]map[string]any, 0, len(entries))
	for _, entry := range entries {
		if entry, ok := entry.(map[string]any); ok {
			found = append(found, entry)
		}
	}
	return found
}

// isOurs says that an entry of managedFields is what the agent applied.
func isOurs(entry map[string]any) bool {
	part, _ := entry["subresource"].(string)
	return entry["manager"] == kube.FieldManager && entry["operation"] == "Apply" && part == ""
}

// paths of the leaves of a field set, and with a slash behind them those of what holds leaves.
func paths(fields map[string]any) map[string]bool {
	found := map[string]bool{}
	walk(fields, nil, "", nil, func(path string, _ Pointer, _ any, _ bool) {
		found[path] = true
		for {
			i := strings.LastIndex(path, "/")
			if i <= 0 {
				return
			}
			path = path[:i]
			found[path+"/"] = true
		}
	})
	return found
}

// missing looks for what is declared and does not live. What the API server leaves out of an object, as it says nothing, is
// not missing.
type missing struct {
	// keys of lists of maps, by where the list is, with * for any item.
	keys   map[string][]string
	report func(Pointer)
}

func (m missing) look(declared, live any, at Pointer, list string) {
	switch want := declared.(type) {
	case map[string]any:
		have, ok := live.(map[string]any)
		if !ok {
			return
		}
		for key, value := range want {
			here := append(slices.Clone(at), key)
			if there, ok := have[key]; ok {
				m.look(value, there, here, list+"/"+key)
			} else if !silent(value) {
				m.report(here)
			}
		}
	case []any:
		have, ok := live.([]any)
		if !ok {
			return
		}
		for i, item := range want {
			here := append(slices.Clone(at), strconv.Itoa(i))
			there, known, found := m.counterpart(item, have, m.keys[list])
			switch {
			case found:
				m.look(item, there, here, list+"/*")
			case known:
				m.report(here)
			}
		}
	}
}

// counterpart finds an item of a declared list in the live one; known is false when it cannot be told which it is.
func (m missing) counterpart(item any, live []any, keys []string) (there any, known, found bool) {
	object, isMap := item.(map[string]any)
	if isMap && len(keys) == 0 {
		return nil, false, false
	}
	for _, other := range live {
		theirs, ok := other.(map[string]any)
		if isMap && ok && !slices.ContainsFunc(keys, func(key string) bool { return object[key] != nil && !sameJSON(object[key], theirs[key]) }) || !isMap && covers(item, other) {
			return other, true, true
		}
	}
	return nil, true, false
}

// listKeys are the keys of the lists of maps in a live object, as managedFields show them.
func listKeys(live *unstructured.Unstructured) map[string][]string {
	found := map[string][]string{}
	var collect func(fields map[string]any, at string)
	collect = func(fields map[string]any, at string) {
		for key, below := range fields {
			kind, rest, _ := strings.Cut(key, ":")
			sub, _ := below.(map[string]any)
			switch kind {
			case "f":
				collect(sub, at+"/"+rest)
			case "k":
				var keys map[string]any
				if found[at] == nil && json.Unmarshal([]byte(rest), &keys) == nil {
					found[at] = slices.Sorted(maps.Keys(keys))
				}
				collect(sub, at+"/*")
			}
		}
	}
	for _, entry := range managers(live) {
		fields, _ := entry["fieldsV1"].(map[string]any)
		collect(fields, "")
	}
	return found
}

// silent values say nothing: nulls, zeros and what holds only such.
func silent(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case int64:
		return v == 0
	case float64:
		return v == 0
	case map[string]any:
		for _, below := range v {
			if !silent(below) {
				return false
			}
		}
		return true
	case []any:
		return len(v) == 0
	default:
		return false
	}
}

// covers says that a live value is what was declared: with what was defaulted in it, and with quantities and numbers as
// the API server writes them.
func covers(declared, live any) bool {
	switch want := declared.(type) {
	case map[string]any:
		have, ok := live.(map[string]any)
		for key, value := range want {
			if there, found := have[key]; !(found && covers(value, there)) && !(!found && silent(value)) {
				return false
			}
		}
		return ok || len(want) == 0
	case []any:
		have, ok := live.([]any)
		if !ok || len(have) != len(want) {
			return len(want) == 0 && len(have) == 0
		}
		for i, item := range want {
			if !covers(item, have[i]) {
				return false
			}
		}
		return true
	}
	if sameJSON(declared, live) || silent(declared) && live == nil {
		return true
	}
	left, leftErr := quantity(declared)
	right, rightErr := quantity(live)
	return leftErr == nil && rightErr == nil && left.Cmp(right) == 0
}

func quantity(value any) (resource.Quantity, error) {
	text, ok := value.(string)
	if !ok {
		data, err := json.Marshal(value)
		if err != nil {
			return resource.Quantity{}, err
		}
		text = string(data)
	}
	return resource.ParseQuantity(text)
}

package render

import (
	"maps"
	"reflect"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/runtime"
)

// operation is one of JSON 6902.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

func clone(object map[string]any) map[string]any { return runtime.DeepCopyJSON(object) }

// operations turn one value into another. Lists keep what they begin and end with, so that an item that was added or taken
// away touches no other.
func operations(from, to any, at string) []operation {
	if left, right, ok := both[map[string]any](from, to); ok {
		return mapOperations(left, right, at)
	}
	if left, right, ok := both[[]any](from, to); ok {
		return listOperations(left, right, at)
	}
	if reflect.DeepEqual(from, to) {
		return nil
	}
	return []operation{{"replace", at, to}}
}

func both[T any](a, b any) (left, right T, ok bool) {
	left, leftIs := a.(T)
	right, rightIs := b.(T)
	return left, right, leftIs && rightIs
}

func mapOperations(from, to map[string]any, at string) []operation {
	keys := maps.Clone(from)
	maps.Copy(keys, to)
	var out []operation
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		before, had := from[key]
		after, has := to[key]
		path := at + "/" + escape(key)
		switch {
		case !has:
			out = append(out, operation{Op: "remove", Path: path})
		case !had:
			out = append(out, operation{"add", path, after})
		default:
			out = append(out, operations(before, after, path)...)
		}
	}
	return out
}

func listOperations(from, to []any, at string) []operation {
	start := 0
	for start < min(len(from), len(to)) && reflect.DeepEqual(from[start], to[start]) {
		start++
	}
	fromEnd, toEnd := len(from), len(to)
	for fromEnd > start && toEnd > start && reflect.DeepEqual(from[fromEnd-1], to[toEnd-1]) {
		fromEnd, toEnd = fromEnd-1, toEnd-1
	}
	var out []operation
	for ; start < min(fromEnd, toEnd); start++ {
		out = append(out, operations(from[start], to[start], at+"/"+strconv.Itoa(start))...)
	}
	for i := fromEnd - 1; i >= start; i-- {
		out = append(out, operation{Op: "remove", Path: at + "/" + strconv.Itoa(i)})
	}
	for i := start; i < toEnd; i++ {
		out = append(out, operation{"add", at + "/" + strconv.Itoa(i), to[i]})
	}
	return out
}

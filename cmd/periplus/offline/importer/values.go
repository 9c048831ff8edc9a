package importer

import (
	"reflect"
	"strings"
)

// Merge layers over onto base, as values do: maps merge, everything else replaces. Neither is changed.
func Merge(base, over map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range base {
		out[key] = value
	}
	for key, value := range over {
		lower, lowerIsMap := out[key].(map[string]any)
		upper, upperIsMap := value.(map[string]any)
		if lowerIsMap && upperIsMap {
			value = Merge(lower, upper)
		}
		out[key] = value
	}
	return out
}

// Common splits values of several clusters into what all share and what is left for each: merged again, they are the same.
func Common(all []map[string]any) (shared map[string]any, rest []map[string]any) {
	shared = map[string]any{}
	for range all {
		rest = append(rest, map[string]any{})
	}
	if len(all) == 0 {
		return shared, rest
	}
	keys := map[string]bool{}
	for _, values := range all {
		for key := range values {
			keys[key] = true
		}
	}
	for key := range keys {
		inner, maps, equal := collect(all, key)
		if equal {
			shared[key] = all[0][key]
			continue
		}
		if !maps {
			for i, values := range all {
				if value, ok := values[key]; ok {
					rest[i][key] = value
				}
			}
			continue
		}
		below, left := Common(inner)
		if len(below) > 0 {
			shared[key] = below
		}
		for i := range left {
			if len(left[i]) > 0 {
				rest[i][key] = left[i]
			}
		}
	}
	return shared, rest
}

// collect looks at one key of all: are they mappings with something in them, and are they all the same?
func collect(all []map[string]any, key string) (inner []map[string]any, maps, equal bool) {
	maps, equal = true, true
	for _, values := range all {
		value, ok := values[key]
		if !ok {
			return nil, false, false
		}
		equal = equal && reflect.DeepEqual(value, all[0][key])
		object, isMap := value.(map[string]any)
		maps = maps && isMap && len(object) > 0
		inner = append(inner, object)
	}
	return inner, maps, equal
}

// Literal keeps text from being read as an expression of this project.
func Literal(value any) any {
	switch typed := value.(type) {
	case string:
		return strings.ReplaceAll(typed, "${{", "$${{")
	case []any:
		out := make([]any, len(typed))
		for i := range typed {
			out[i] = Literal(typed[i])
		}
		return out
	case map[string]any:
		return LiteralMap(typed)
	default:
		return value
	}
}

// LiteralMap is Literal of a mapping.
func LiteralMap(values map[string]any) map[string]any {
	out := make(map[string]any, len(values))
	for key, value := range values {
		out[key] = Literal(value)
	}
	return out
}

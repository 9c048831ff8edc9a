package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"unicode/utf8"
)

// schemaError is a value that a schema does not allow.
type schemaError struct {
	// field below the value, such as .repos[0]; "" for the value itself.
	field, message string
}

func (e *schemaError) Error() string { return e.message }

// conforms checks a value against an OpenAPI schema as far as API servers do for custom resources: types, enums, bounds, patterns,
// required and unknown fields. loose allows unknown fields everywhere, as legacy templates do.
func conforms(value any, schema map[string]any, loose bool) *schemaError {
	if len(schema) == 0 {
		return nil
	}
	if value == nil {
		if yes(schema["nullable"]) || schema["type"] == nil {
			return nil
		}
		return &schemaError{"", fmt.Sprintf("must be %s, not null", article(schema["type"]))}
	}
	if wrong := typed(value, schema); wrong != nil {
		return wrong
	}
	if options, is := schema["enum"].([]any); is && !slices.ContainsFunc(options, func(one any) bool { return same(one, value) }) {
		return &schemaError{"", fmt.Sprintf("must be one of %s", encode(options))}
	}
	for _, check := range []func(any, map[string]any, bool) *schemaError{combined, bounded, fieldsConform, itemsConform} {
		if wrong := check(value, schema, loose); wrong != nil {
			return wrong
		}
	}
	return nil
}

func yes(value any) bool { is, _ := value.(bool); return is }

func article(kind any) string {
	switch kind {
	case "array", "integer", "object":
		return fmt.Sprintf("an %v", kind)
	}
	return fmt.Sprintf("a %v", kind)
}

// jsonType is what JSON calls a value.
func jsonType(value any) string {
	switch number := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case int, int64:
		return "integer"
	case json.Number:
		if _, err := number.Int64(); err == nil {
			return "integer"
		}
	case float64:
		if number == math.Trunc(number) {
			return "integer"
		}
	}
	return "number"
}

func typed(value any, schema map[string]any) *schemaError {
	is := jsonType(value)
	if yes(schema["x-kubernetes-int-or-string"]) && (is == "integer" || is == "string") {
		return nil
	}
	if want := schema["type"]; want == nil || want == is || want == "number" && is == "integer" {
		return nil
	}
	return &schemaError{"", fmt.Sprintf("must be %s, not %s", article(schema["type"]), article(is))}
}

func same(a, b any) bool {
	return reflect.DeepEqual(a, b) || isNumber(a) && isNumber(b) && numberOf(a) == numberOf(b)
}

func isNumber(value any) bool { return slices.Contains([]string{"integer", "number"}, jsonType(value)) }

func numberOf(value any) float64 {
	switch number := value.(type) {
	case int:
		return float64(number)
	case int64:
		return float64(number)
	case json.Number:
		out, _ := number.Float64()
		return out
	case float64:
		return number
	}
	return math.NaN()
}

// combined is allOf, anyOf, oneOf and not, whose schemas see only a part of the fields.
func combined(value any, schema map[string]any, _ bool) *schemaError {
	passes := func(one any) bool { inner, _ := one.(map[string]any); return conforms(value, inner, true) == nil }
	count := func(key string) (passed, all int) {
		options, _ := schema[key].([]any)
		for _, one := range options {
			if passes(one) {
				passed++
			}
		}
		return passed, len(options)
	}
	if passed, all := count("allOf"); passed < all {
		return &schemaError{"", "must match all schemas of allOf"}
	}
	if passed, all := count("anyOf"); all > 0 && passed == 0 {
		return &schemaError{"", "must match a schema of anyOf"}
	}
	if passed, all := count("oneOf"); all > 0 && passed != 1 {
		return &schemaError{"", "must match exactly one schema of oneOf"}
	}
	if not, is := schema["not"].(map[string]any); is && passes(not) {
		return &schemaError{"", "must not match the schema of not"}
	}
	return nil
}

// bounded checks sizes, numbers and texts.
func bounded(value any, schema map[string]any, _ bool) *schemaError {
	size, least, most, what := 0.0, schema["minimum"], schema["maximum"], ""
	switch typed := value.(type) {
	case string:
		size, least, most, what = float64(utf8.RuneCountInString(typed)), schema["minLength"], schema["maxLength"], " characters"
		if pattern, is := schema["pattern"].(string); is {
			if form, err := regexp.Compile(pattern); err == nil && !form.MatchString(typed) {
				return &schemaError{"", fmt.Sprintf("must match %q", pattern)}
			}
		}
	case []any:
		size, least, most, what = float64(len(typed)), schema["minItems"], schema["maxItems"], " items"
	case map[string]any:
		size, least, most, what = float64(len(typed)), schema["minProperties"], schema["maxProperties"], " fields"
	default:
		if !isNumber(value) {
			return nil
		}
		size = numberOf(value)
	}
	switch {
	case least != nil && (size < numberOf(least) || what == "" && yes(schema["exclusiveMinimum"]) && size == numberOf(least)):
		return &schemaError{"", fmt.Sprintf("must be at least %v%s", least, what)}
	case most != nil && (size > numberOf(most) || what == "" && yes(schema["exclusiveMaximum"]) && size == numberOf(most)):
		return &schemaError{"", fmt.Sprintf("must be at most %v%s", most, what)}
	}
	return nil
}

func fieldsConform(value any, schema map[string]any, loose bool) *schemaError {
	fields, is := value.(map[string]any)
	if !is {
		return nil
	}
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, there := fields[fmt.Sprint(name)]; !there {
			return &schemaError{fmt.Sprintf(".%v", name), "is required"}
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	more, hasMore := schema["additionalProperties"].(map[string]any)
	open := loose || hasMore || yes(schema["additionalProperties"]) || yes(schema["x-kubernetes-preserve-unknown-fields"]) || len(properties) == 0
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		property, known := properties[name].(map[string]any)
		switch {
		case !known && !open:
			return &schemaError{"." + name, fmt.Sprintf("is not known; known are %s", words(properties))}
		case !known:
			property = more
		}
		if wrong := conforms(fields[name], property, loose); wrong != nil {
			return &schemaError{"." + name + wrong.field, wrong.message}
		}
	}
	return nil
}

func words(properties map[string]any) string {
	out := ""
	for i, name := range slices.Sorted(maps.Keys(properties)) {
		if i > 0 {
			out += ", "
		}
		out += name
	}
	return out
}

func itemsConform(value any, schema map[string]any, loose bool) *schemaError {
	items, is := value.([]any)
	of, described := schema["items"].(map[string]any)
	if !is || !described {
		return nil
	}
	for i, item := range items {
		if wrong := conforms(item, of, loose); wrong != nil {
			return &schemaError{fmt.Sprintf("[%d]%s", i, wrong.field), wrong.message}
		}
	}
	return nil
}

// implied is the schema of parameters that have defaults only: a value is of the kind that its default is.
func implied(parameters map[string]any) map[string]any {
	properties := map[string]any{}
	for name, value := range parameters {
		property := map[string]any{}
		switch kind := jsonType(value); kind {
		case "null":
		case "integer":
			property["type"] = "number"
		default:
			property["type"] = kind
		}
		properties[name] = property
	}
	return map[string]any{"type": "object", "properties": properties}
}

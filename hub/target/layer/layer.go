// Package layer merges the layers that make a bundle's values, lowest first, and remembers who set what. It is the part of
// targeting that knows no cluster: what it is given is evaluated already.
//
// Maps merge, lists and scalars replace, and null stays in the result, where it unsets what the renderer itself knows. A
// mapping whose one key is $set replaces what lies below as a whole, $unset: true removes the key as if no layer had named
// it, and $append: [...] adds to a list. $$set, $$unset and $$append stand for keys of those names.
package layer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The operators.
const (
	Set    = "$set"
	Unset  = "$unset"
	Append = "$append"
)

// Layer is one set of values.
type Layer struct {
	// Name says what it is: spec.values, ConfigMap "web" and so on.
	Name   string
	Values map[string]any
	// Plain values know no operators: those of a chart's files.
	Plain bool
	// Secret values are not shown.
	Secret bool
	// Source says where the value at a path (below the layer) was written, as file:line; nil is Name alone.
	Source func(path string) string
}

// Error is a wrong use of an operator. Path is below the layer.
type Error struct {
	Layer int
	Path  string
	Err   error
}

func (e *Error) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Merge gives the values of all layers; nil where no layer says anything. The layers stay as they are; the result may share
// parts with them.
func Merge(layers []Layer) (map[string]any, error) {
	return merge(layers, nil)
}

func merge(layers []Layer, notes *notes) (map[string]any, error) {
	var out map[string]any
	for i, one := range layers {
		if len(one.Values) == 0 {
			continue
		}
		m := merging{layer: i, plain: one.Plain, notes: notes}
		merged, err := m.maps(out, one.Values, "", "")
		if err != nil {
			return nil, err
		}
		out = merged
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// merging is the work on one layer. Paths come twice: of the result, and of the layer's own text, where operators stand.
type merging struct {
	layer int
	plain bool
	notes *notes
}

func (m merging) fail(path, format string, args ...any) error {
	return &Error{Layer: m.layer, Path: path, Err: fmt.Errorf(format, args...)}
}

func (m merging) maps(base, over map[string]any, path, own string) (map[string]any, error) {
	out := make(map[string]any, len(base)+len(over))
	maps.Copy(out, base)
	for _, key := range slices.Sorted(maps.Keys(over)) {
		name, at := m.literal(key), join(own, key)
		below := join(path, name)
		value, keep, err := m.value(out, name, over[key], below, at)
		if err != nil {
			return nil, err
		}
		if keep {
			out[name] = value
		} else {
			delete(out, name)
		}
	}
	return out, nil
}

// value gives what a key becomes; keep is false where it goes.
func (m merging) value(base map[string]any, name string, over any, path, own string) (value any, keep bool, err error) {
	lower, has := base[name]
	object, isMap := over.(map[string]any)
	if !isMap {
		m.notes.leaf(m.layer, path, own, over)
		return over, true, nil
	}
	operator, argument, err := m.operator(object, own)
	if err != nil {
		return nil, false, err
	}
	own = join(own, operator)
	switch operator {
	case Set:
		return m.replace(argument, path, own)
	case Unset:
		m.notes.unset(m.layer, path, own)
		return nil, false, nil
	case Append:
		return m.append(lower, has, argument.([]any), path, own)
	}
	beneath, isLowerMap := lower.(map[string]any)
	if !isLowerMap {
		return m.replace(over, path, own)
	}
	if len(object) == 0 {
		return lower, true, nil
	}
	merged, err := m.maps(beneath, object, path, own)
	return merged, true, err
}

// replace puts a value in place of whatever lies below. Operators in it have nothing below to work on.
func (m merging) replace(over any, path, own string) (any, bool, error) {
	object, isMap := over.(map[string]any)
	if !isMap || len(object) == 0 {
		m.notes.leaf(m.layer, path, own, over)
		return over, true, nil
	}
	m.notes.clear(m.layer, path, own)
	merged, err := m.maps(nil, object, path, own)
	return merged, true, err
}

func (m merging) append(lower any, has bool, items []any, path, own string) (any, bool, error) {
	list, isList := lower.([]any)
	if has && lower != nil && !isList {
		return nil, false, m.fail(own, "%s adds to a list, but what lies below is none", Append)
	}
	out := slices.Concat(list, items)
	m.notes.leaf(m.layer, path, own, out)
	return out, true, nil
}

// operator reads a mapping that is one; "" where it is none.
func (m merging) operator(object map[string]any, path string) (name string, argument any, err error) {
	if m.plain {
		return "", nil, nil
	}
	for _, operator := range []string{Set, Unset, Append} {
		argument, given := object[operator]
		if !given {
			continue
		}
		if len(object) > 1 {
			return "", nil, m.fail(join(path, operator), "%s stands alone in its mapping; write $%s for a key of this name", operator, operator)
		}
		_, isList := argument.([]any)
		switch {
		case operator == Unset && argument != true:
			return "", nil, m.fail(join(path, operator), "%s takes true", operator)
		case operator == Append && !isList:
			return "", nil, m.fail(join(path, operator), "%s takes a list", operator)
		}
		return operator, argument, nil
	}
	return "", nil, nil
}

// literal takes one $ off a doubled operator.
func (m merging) literal(key string) string {
	if !m.plain && strings.HasPrefix(key, "$$") {
		switch key[1:] {
		case Set, Unset, Append:
			return key[1:]
		}
	}
	return key
}

// Check finds wrong uses of operators that can be seen without other layers: expression says of a text that it is not
// evaluated yet, so that nothing can be said of it.
func Check(values map[string]any, expression func(string) bool) []*Error {
	var problems []*Error
	check(values, "", true, expression, &problems)
	return problems
}

func check(value any, path string, root bool, expression func(string) bool, problems *[]*Error) {
	object, isMap := value.(map[string]any)
	if !isMap {
		return
	}
	if root {
		for _, operator := range []string{Set, Unset, Append} {
			if _, given := object[operator]; given {
				*problems = append(*problems, &Error{Path: operator, Err: errors.New(operator + " stands below a key, not in place of all values")})
			}
		}
	}
	if _, _, err := (merging{}).operator(object, path); err != nil && !root && !pending(object, expression) {
		var wrong *Error
		if errors.As(err, &wrong) {
			*problems = append(*problems, wrong)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		check(object[key], join(path, key), false, expression, problems)
	}
}

// pending says that an operator's argument is an expression, which may give what it takes.
func pending(object map[string]any, expression func(string) bool) bool {
	if len(object) != 1 {
		return false
	}
	for _, argument := range object {
		text, isText := argument.(string)
		return isText && expression(text)
	}
	return false
}

func join(path, name string) string {
	switch {
	case path == "":
		return name
	case name == "":
		return path
	default:
		return path + "." + name
	}
}

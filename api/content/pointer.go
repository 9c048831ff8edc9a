package content

import (
	"fmt"
	"strconv"
	"strings"
)

var pointerUnescape = strings.NewReplacer("~1", "/", "~0", "~")

// SetPointer writes a value at a JSON pointer (RFC 6901) of a decoded JSON object. Missing mappings on the way are made; a
// list must have the index, or "-" appends to it. The value becomes a part of the object.
func SetPointer(object map[string]any, pointer string, value any) error {
	text, ok := strings.CutPrefix(pointer, "/")
	if !ok {
		return fmt.Errorf("pointer %q does not begin with /", pointer)
	}
	_, err := setAt(object, strings.Split(text, "/"), pointer, value)
	return err
}

// setAt returns the container with the value set, as lists may grow.
func setAt(container any, parts []string, pointer string, value any) (any, error) {
	if len(parts) == 0 {
		return value, nil
	}
	key := pointerUnescape.Replace(parts[0])
	switch typed := container.(type) {
	case nil:
		return setAt(map[string]any{}, parts, pointer, value)
	case map[string]any:
		child, err := setAt(typed[key], parts[1:], pointer, value)
		if err != nil {
			return nil, err
		}
		typed[key] = child
		return typed, nil
	case []any:
		if key == "-" {
			child, err := setAt(nil, parts[1:], pointer, value)
			return append(typed, child), err
		}
		index, ok := indexOf(key, len(typed))
		if !ok {
			return nil, fmt.Errorf("pointer %s: the list has %d items, no item %q", pointer, len(typed), key)
		}
		child, err := setAt(typed[index], parts[1:], pointer, value)
		if err != nil {
			return nil, err
		}
		typed[index] = child
		return typed, nil
	default:
		return nil, fmt.Errorf("pointer %s: %q is below a plain value", pointer, key)
	}
}

// LookupPointer reads the value at a JSON pointer.
func LookupPointer(value any, pointer string) (found any, ok bool) {
	for _, part := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		key := pointerUnescape.Replace(part)
		switch typed := value.(type) {
		case map[string]any:
			if value, ok = typed[key]; !ok {
				return nil, false
			}
		case []any:
			index, ok := indexOf(key, len(typed))
			if !ok {
				return nil, false
			}
			value = typed[index]
		default:
			return nil, false
		}
	}
	return value, true
}

// indexOf reads a list's index as the RFC writes it: digits without a leading zero.
func indexOf(key string, length int) (int, bool) {
	index, err := strconv.Atoi(key)
	return index, err == nil && index >= 0 && index < length && strconv.Itoa(index) == key
}

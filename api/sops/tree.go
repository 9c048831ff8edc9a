package sops

import (
	"time"
)

// The tree of a document keeps the order of mappings and the comments: the MAC is over values in order, and rules may say
// by comment what is encrypted. Values are mapping, []any, comment, string, []byte, int, float64, bool, moment and nil.
type mapping []pair

// pair is an entry of a mapping, or a comment between entries.
type pair struct {
	key string
	// note is set for a comment; key and value are then empty.
	note  *comment
	value any
}

// comment without its leading '#'.
type comment string

// moment is a YAML timestamp: the MAC is over the time, JSON gets the text that stands there.
type moment struct {
	at   time.Time
	text string
}

// object is the mapping as JSON values.
func (m mapping) object() map[string]any {
	object := make(map[string]any, len(m))
	for _, p := range m {
		if p.note == nil {
			object[p.key] = jsonValue(p.value)
		}
	}
	return object
}

func jsonValue(value any) any {
	switch value := value.(type) {
	case mapping:
		return value.object()
	case []any:
		list := make([]any, 0, len(value))
		for _, item := range value {
			if _, ok := item.(comment); !ok {
				list = append(list, jsonValue(item))
			}
		}
		return list
	case []byte:
		return string(value)
	case int:
		return int64(value)
	case moment:
		return value.text
	default:
		return value
	}
}

// find is the value of a key.
func (m mapping) find(key string) (any, bool) {
	for _, p := range m {
		if p.note == nil && p.key == key {
			return p.value, true
		}
	}
	return nil, false
}

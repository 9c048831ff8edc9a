// Package wire is what both ends of a plugin's connection agree on beside the protos: the handshake, how values and errors
// travel, and how messages map to the SDK's types. The SDK serves it, the host calls it.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// EncodeObject writes a JSON object in which integers and floats stay apart: a float64 always has a fraction or an exponent.
// Values are maps, slices, strings, booleans, nil, numbers of Go. nil is "no object" and empty.
func EncodeObject(object map[string]any) ([]byte, error) {
	if object == nil {
		return nil, nil
	}
	return appendValue(nil, object)
}

// DecodeObject reads what EncodeObject wrote, with int64 and float64 as numbers.
func DecodeObject(data []byte) (map[string]any, error) {
	if len(data) == 0 {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("cannot decode value: %w", err)
	}
	if object == nil || decoder.InputOffset() != int64(len(data)) {
		return nil, errors.New("cannot decode value: the data is not one JSON object")
	}
	value, err := numbers(object)
	if err != nil {
		return nil, err
	}
	return value.(map[string]any), nil
}

func appendValue(out []byte, value any) ([]byte, error) {
	switch typed := value.(type) {
	case nil:
		return append(out, "null"...), nil
	case bool:
		return strconv.AppendBool(out, typed), nil
	case string:
		return appendString(out, typed)
	case int:
		return strconv.AppendInt(out, int64(typed), 10), nil
	case int32:
		return strconv.AppendInt(out, int64(typed), 10), nil
	case int64:
		return strconv.AppendInt(out, typed, 10), nil
	case float64:
		return appendFloat(out, typed)
	case []any:
		return appendList(out, typed)
	case map[string]any:
		return appendMap(out, typed)
	case json.Number:
		return append(out, typed...), nil
	default:
		return nil, fmt.Errorf("cannot encode value of type %T: want maps, slices, strings, booleans, nil, int64 and float64", value)
	}
}

func appendFloat(out []byte, number float64) ([]byte, error) {
	if math.IsNaN(number) || math.IsInf(number, 0) {
		return nil, fmt.Errorf("cannot encode the number %v", number)
	}
	text := strconv.FormatFloat(number, 'g', -1, 64)
	out = append(out, text...)
	if !strings.ContainsAny(text, ".e") {
		out = append(out, ".0"...)
	}
	return out, nil
}

func appendList(out []byte, list []any) ([]byte, error) {
	out = append(out, '[')
	for i, item := range list {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = appendValue(out, item); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

func appendMap(out []byte, object map[string]any) ([]byte, error) {
	keys := make([]string, 0, len(object))
	for key := range object {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	out = append(out, '{')
	for i, key := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = appendString(out, key); err != nil {
			return nil, err
		}
		if out, err = appendValue(append(out, ':'), object[key]); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

// appendString leaves plain text to be copied; the rest is the library's.
func appendString(out []byte, text string) ([]byte, error) {
	for i := range len(text) {
		if c := text[i]; c < 0x20 || c >= 0x80 || c == '"' || c == '\\' {
			quoted, err := json.Marshal(text)
			return append(out, quoted...), err
		}
	}
	return append(append(append(out, '"'), text...), '"'), nil
}

// numbers replaces the decoder's numbers in place.
func numbers(value any) (any, error) {
	switch typed := value.(type) {
	case json.Number:
		if strings.ContainsAny(string(typed), ".eE") {
			return typed.Float64()
		}
		whole, err := typed.Int64()
		if err != nil {
			return nil, fmt.Errorf("cannot decode the number %s: it does not fit 64 bits", typed)
		}
		return whole, nil
	case []any:
		for i := range typed {
			item, err := numbers(typed[i])
			if err != nil {
				return nil, err
			}
			typed[i] = item
		}
	case map[string]any:
		for key := range typed {
			item, err := numbers(typed[key])
			if err != nil {
				return nil, err
			}
			typed[key] = item
		}
	}
	return value, nil
}

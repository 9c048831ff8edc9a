package yamldoc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// ObjectFromJSON decodes one JSON object, with whole numbers kept whole. It is for what a program wrote; Parse is for files
// of people, and does not know every escape of JSON.
func ObjectFromJSON(data []byte) (map[string]any, error) {
	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("cannot decode object: %w", err)
	}
	if object == nil || decoder.More() {
		return nil, errors.New("cannot decode object: the data is not one JSON object")
	}
	if _, err := wholeNumbers(object); err != nil {
		return nil, fmt.Errorf("cannot decode object: %w", err)
	}
	return object, nil
}

// wholeNumbers turns the decoder's numbers into int64 where they are whole, else into float64.
func wholeNumbers(value any) (any, error) {
	switch typed := value.(type) {
	case json.Number:
		if whole, err := typed.Int64(); err == nil {
			return whole, nil
		}
		return typed.Float64()
	case []any:
		for i := range typed {
			item, err := wholeNumbers(typed[i])
			if err != nil {
				return nil, err
			}
			typed[i] = item
		}
	case map[string]any:
		for key := range typed {
			item, err := wholeNumbers(typed[key])
			if err != nil {
				return nil, err
			}
			typed[key] = item
		}
	}
	return value, nil
}

package expr

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// maxDepth bounds nesting of a result.
const maxDepth = 50

// toJSON turns a CEL value into a JSON value; whole numbers stay whole.
func toJSON(value ref.Val, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("the result is too deep")
	}
	switch typed := value.(type) {
	case types.Null:
		return nil, nil
	case types.Bool:
		return bool(typed), nil
	case types.String:
		return string(typed), nil
	case types.Int:
		return int64(typed), nil
	case types.Uint:
		if uint64(typed) > math.MaxInt64 {
			return nil, errors.New("the number is too large")
		}
		return int64(typed), nil
	case types.Double:
		if number := float64(typed); !math.IsNaN(number) && !math.IsInf(number, 0) {
			return number, nil
		}
		return nil, errors.New("the number has no JSON form")
	case *types.Optional:
		return nil, errors.New("the result is optional: end it with .orValue(...)")
	case traits.Mapper:
		return mapToJSON(typed, depth)
	case traits.Lister:
		out := []any{}
		for it := typed.Iterator(); it.HasNext() == types.True; {
			item, err := toJSON(it.Next(), depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, item)
		}
		return out, nil
	default:
		return nil, fmt.Errorf("a result of type %s has no JSON form; turn it into a string", value.Type().TypeName())
	}
}

func mapToJSON(value traits.Mapper, depth int) (any, error) {
	out := map[string]any{}
	for it := value.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.(types.String)
		if !ok {
			return nil, errors.New("the keys of a map must be strings")
		}
		item, err := toJSON(value.Get(key), depth+1)
		if err != nil {
			return nil, err
		}
		out[string(name)] = item
	}
	return out, nil
}

// asText is what an expression gives inside a longer string.
func asText(value any) (string, error) {
	switch typed := value.(type) {
	case string:
		return typed, nil
	case bool:
		return strconv.FormatBool(typed), nil
	case int64:
		return strconv.FormatInt(typed, 10), nil
	case float64:
		return strconv.FormatFloat(typed, 'g', -1, 64), nil
	default:
		return "", errors.New("within a text only strings, numbers and booleans can stand")
	}
}

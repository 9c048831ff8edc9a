// Package generated holds the words by which the render stage and the store speak of values that a renderer made up and that
// are kept once and for all: random passwords, certificates, dates.
package generated

import (
	"context"
	"encoding/json"

	"github.com/periplus-fleet/periplus/api/content"
)

// Pair is the delivery that values belong to; they go when it goes.
type Pair struct {
	ClusterUID string
	// Bundle is namespace/name.
	Bundle string
}

// Field of an object, by JSON pointer.
type Field struct {
	Object  content.ObjectID
	Pointer string
}

// Values are JSON.
type Values map[Field]json.RawMessage

// Keeper keeps values; the store is one.
type Keeper interface {
	// Generated are all values of a pair.
	Generated(ctx context.Context, pair Pair) (Values, error)
	// PutGenerated keeps values and returns all of the pair. Of a field that has one already, the first counts.
	PutGenerated(ctx context.Context, pair Pair, values Values) (Values, error)
}

package render

import (
	"fmt"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
)

// Object is one object of a variant, decoded.
type Object struct {
	content.Item
	// Value is a copy of the caller's own, as policies see it: that of a sealed object is encrypted. What Digest.Secret() says
	// is in the clear: mask it before it is shown.
	Value map[string]any
}

// Objects decodes the variant's objects, in the manifest's order.
func (v *Variant) Objects() ([]Object, error) {
	objects := make([]Object, 0, len(v.Manifest.Items))
	for _, item := range v.Manifest.Items {
		value, err := DecodeBlob(v.Judged(item.Digest))
		if err != nil {
			return nil, fmt.Errorf("cannot decode %s of revision %s: %w", item.ObjectID, v.Revision, err)
		}
		objects = append(objects, Object{Item: item, Value: value})
	}
	return objects, nil
}

// DecodeBlob decodes an object's content.
func DecodeBlob(blob []byte) (map[string]any, error) { return yamldoc.ObjectFromJSON(blob) }

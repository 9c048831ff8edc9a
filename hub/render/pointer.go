package render

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/periplus-fleet/periplus/api/content"
)

var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

func escape(key string) string { return pointerEscape.Replace(key) }

// setPointer writes a copy of a value, which several objects may get.
func setPointer(object map[string]any, pointer string, value any) error {
	return content.SetPointer(object, pointer, runtime.DeepCopyJSONValue(value))
}

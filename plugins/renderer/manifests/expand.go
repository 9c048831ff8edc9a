package manifests

import (
	"strconv"
	"strings"

	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// SealKey marks a document that SOPS encrypted.
const SealKey = "sops"

// reader gathers the objects of one file.
type reader struct {
	file    string
	data    []byte
	objects []renderer.Object
}

// expand takes a document, or an item of a list in it, which stands at a JSON pointer.
func (r *reader) expand(document yamldoc.Document, value any, pointer string) error {
	line := document.Line
	if pointer != "" {
		line = document.LineOfPointer(pointer)
	}
	object, ok := value.(map[string]any)
	if !ok {
		return renderer.Refuse(r.file, line, "a manifest is a mapping with apiVersion and kind")
	}
	if _, sealed := object[SealKey].(map[string]any); sealed {
		return r.seal(document, object, pointer, line)
	}
	if items, isList := Items(object); isList {
		for i, item := range items {
			if err := r.expand(document, item, pointer+"/items/"+strconv.Itoa(i)); err != nil {
				return err
			}
		}
		return nil
	}
	r.objects = append(r.objects, renderer.Object{Value: object, Source: r.file + ":" + strconv.Itoa(line)})
	return nil
}

// seal keeps an encrypted document as it is: SOPS authenticates all of it, so nothing can be taken out of it.
func (r *reader) seal(document yamldoc.Document, object map[string]any, pointer string, line int) error {
	switch kind, _ := object["kind"].(string); {
	case pointer != "":
		return renderer.Refuse(r.file, line, "an encrypted object cannot stand in a List; give it a document of its own")
	case strings.HasSuffix(kind, "List") && object["items"] != nil:
		return renderer.Refuse(r.file, line, "an encrypted List cannot be taken apart; encrypt each object as a document of its own")
	}
	r.objects = append(r.objects, renderer.Object{Value: object, Source: r.file + ":" + strconv.Itoa(line),
		Sealed: yamldoc.Text(r.data, document.Line)})
	return nil
}

// Items of a List of any kind, such as ConfigMapList. A list has no name: an object with one is no list, whatever its kind.
func Items(object map[string]any) ([]any, bool) {
	if kind, _ := object["kind"].(string); !strings.HasSuffix(kind, "List") {
		return nil, false
	}
	metadata, _ := object["metadata"].(map[string]any)
	if name, _ := metadata["name"].(string); name != "" {
		return nil, false
	}
	items, isList := object["items"].([]any)
	if object["kind"] == "List" && object["items"] == nil {
		return nil, true
	}
	return items, isList
}

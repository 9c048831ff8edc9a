package render

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// encryptedPrefix begins every value that SOPS encrypted.
const encryptedPrefix = "ENC["

// sealedContent is what travels of a sealed object: its document, and everything that the inputs do to it, for its cluster
// to do once it is open. The object is one of post's, or of the base where nothing changes.
//
// SOPS encrypts values and leaves the structure, so what a strategic merge means is decided here, on the encrypted form, and
// travels as JSON 6902 operations: the agent needs no schemas, and cannot come to another result.
func sealedContent(in Input, object renderer.Object) (content.SealedObject, error) {
	sealed := content.SealedObject{Document: string(object.Sealed), Format: "yaml"}
	if json.Valid(object.Sealed) {
		sealed.Format = "json"
	}
	documents, err := yamldoc.Parse(object.Sealed)
	if err != nil || len(documents) != 1 {
		return sealed, fmt.Errorf("cannot read sealed document at %s again: %w", object.Source, err)
	}
	value, _ := documents[0].Object()
	work := sealing{in: in, value: value, source: object.Source}
	for i, declared := range in.Inputs.Patches {
		read, err := readPatch(declared)
		if err == nil && matches(read.match, work.value) {
			err = work.patch(read)
		}
		if err != nil {
			return sealed, mistake(in, in.patchField(i), fmt.Errorf("%s (%s): %w", describe(value), object.Source, err))
		}
	}
	if err := work.metadata(); err != nil {
		return sealed, err
	}
	sealed.Patches = work.patches
	for _, set := range in.Inputs.Set {
		if matches(set.Target, work.value) {
			sealed.Set = append(sealed.Set, content.SetField{Pointer: set.Pointer, Value: set.Value})
		}
	}
	return sealed, nil
}

// sealing is one sealed object on its way through the patches.
type sealing struct {
	in      Input
	value   map[string]any
	source  string
	patches []string
}

func (s *sealing) patch(read patch) error {
	before := clone(s.value)
	changed, err := read.withoutTests().apply(clone(s.value))
	if err != nil {
		return err
	}
	s.value = changed
	if read.merge == nil {
		return s.add(read.ops)
	}
	return s.addDifference(before)
}

// metadata adds labels and annotations, which come after the patches.
func (s *sealing) metadata() error {
	before := clone(s.value)
	if labels := s.in.Inputs.Labels; len(labels) > 0 {
		addMetadata(s.value, "labels", labels)
	}
	if annotations := s.in.Inputs.Annotations; len(annotations) > 0 {
		addMetadata(s.value, "annotations", annotations)
	}
	return s.addDifference(before)
}

func (s *sealing) addDifference(before map[string]any) error {
	ops := operations(before, s.value, "")
	for _, op := range ops {
		if holdsEncrypted(op.Value) {
			return fmt.Errorf("the strategic merge moves encrypted values at %s; write it as a JSON 6902 patch", op.Path)
		}
	}
	if len(ops) == 0 {
		return nil
	}
	return s.add(ops)
}

func (s *sealing) add(ops any) error {
	text, err := content.CanonicalJSON(ops)
	s.patches = append(s.patches, string(text))
	return err
}

func holdsEncrypted(value any) bool {
	switch typed := value.(type) {
	case string:
		return strings.HasPrefix(typed, encryptedPrefix)
	case []any:
		for _, item := range typed {
			if holdsEncrypted(item) {
				return true
			}
		}
	case map[string]any:
		for _, field := range typed {
			if holdsEncrypted(field) {
				return true
			}
		}
	}
	return false
}

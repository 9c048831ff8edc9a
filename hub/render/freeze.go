package render

import (
	"maps"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// frozen is an object in its final form.
type frozen struct {
	item content.Item
	blob []byte
	// judged is what policies see; nil where it is the blob.
	judged []byte
}

// freezer turns objects into items and content.
type freezer struct {
	secretKey []byte
	// secret says that every object is treated as a Secret is.
	secret bool
	// once are the pointers of generated fields by object.
	once map[content.ObjectID][]string
}

// freeze checks one object.
func (f freezer) freeze(in Input, object renderer.Object) (frozen, error) {
	file, line := splitSource(object.Source)
	refuse := func(format string, args ...any) (frozen, error) {
		return frozen{}, renderer.Refuse(file, line, format, args...)
	}
	if _, sealed := object.Value["sops"]; sealed && object.Sealed == nil {
		return refuse("it is encrypted by SOPS, and was rendered: keep encrypted manifests beside the bundle as they are, or use decrypt: hub")
	}
	if object.Sealed != nil {
		for _, field := range []string{"apiVersion", "kind", "metadata"} {
			if holdsEncrypted(object.Value[field]) {
				return refuse("%s is encrypted; encrypt with --encrypted-regex '^(data|stringData)$'", field)
			}
		}
	}
	id, problem := identify(object.Value)
	if problem != "" {
		return refuse("%s", problem)
	}
	if problem := checkMetadata(object.Value["metadata"].(map[string]any), object.Hook != nil); problem != "" {
		return refuse("%s: %s", id, problem)
	}
	options, err := optionsOf(v1alpha1.BundleSpec{}, object.Value)
	if err != nil {
		return refuse("%s: annotation %s/%v", id, v1alpha1.Group, err)
	}
	blob, err := content.CanonicalJSON(bare(object.Value))
	if err != nil {
		return refuse("%s: %v", id, err)
	}
	one := frozen{item: content.Item{ObjectID: id, Phase: content.PhaseOf(id.Group, id.Kind), Source: object.Source, Hook: object.Hook, Options: options}, blob: blob}
	switch {
	case object.Sealed != nil:
		sealed, err := sealedContent(in, object)
		if err != nil {
			return frozen{}, err
		}
		one.judged = blob
		if one.blob, err = content.CanonicalJSON(sealed); err != nil {
			return refuse("%s: %v", id, err)
		}
		one.item.Sealed = true
	default:
		for _, pointer := range f.once[id] {
			if _, still := content.LookupPointer(object.Value, pointer); still {
				one.item.Once = append(one.item.Once, pointer)
			}
		}
	}
	one.item.Digest = content.Sum(one.blob)
	// What is sealed is encrypted already, whatever its kind.
	if f.secret || id.Group == "" && id.Kind == "Secret" && !one.item.Sealed {
		one.item.Digest = content.SumSecret(f.secretKey, one.blob)
	}
	return one, nil
}

// bare is an object without what is the server's, and without the words of SOPS.
func bare(object map[string]any) map[string]any {
	out := maps.Clone(object)
	delete(out, "status")
	delete(out, "sops")
	metadata := maps.Clone(object["metadata"].(map[string]any))
	delete(metadata, "creationTimestamp")
	out["metadata"] = metadata
	return out
}

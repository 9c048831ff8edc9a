package render

import (
	"maps"
	"strings"

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
	options, err := optionsOf(object.Value)
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

// optionsOf reads how the agent treats the object.
func optionsOf(object map[string]any) (*content.Options, error) {
	annotations, _ := object["metadata"].(map[string]any)["annotations"].(map[string]any)
	values := map[string]string{}
	for _, name := range optionAnnotations {
		if text, ok := annotations[name].(string); ok {
			values[strings.TrimPrefix(name, v1alpha1.Group+"/")] = text
		}
	}
	// Charts say it in Helm's words; ours have the last one.
	if prune := strings.TrimPrefix(v1alpha1.AnnotationPrune, v1alpha1.Group+"/"); values[prune] == "" && annotations[keepAnnotation] == "keep" {
		values[prune] = content.PruneNever
	}
	return content.ParseOptions(values)
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

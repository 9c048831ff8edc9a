package render

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// Annotations that this version does not carry out, and so refuses.
var laterAnnotations = []string{v1alpha1.AnnotationWave, v1alpha1.AnnotationPrune, v1alpha1.AnnotationApply, v1alpha1.AnnotationAdopt,
	v1alpha1.AnnotationTimeout}

const hookAnnotation = "helm.sh/hook"

// serverFields of metadata are the API server's: a manifest that was copied out of a cluster has them.
var serverFields = []string{"uid", "resourceVersion", "generation", "managedFields", "selfLink", "deletionTimestamp",
	"deletionGracePeriodSeconds", "ownerReferences"}

// assemble makes the revision of the final objects.
func assemble(namespace string, objects []renderer.Object, secretKey []byte) (*Variant, error) {
	if len(objects) == 0 {
		return nil, errors.New("it renders to no objects; to take it off its clusters, remove the bundle or its target")
	}
	variant := &Variant{Manifest: content.Manifest{DefaultNamespace: namespace}, Blobs: map[content.Digest][]byte{}}
	seen := map[content.ObjectID]string{}
	for _, object := range objects {
		item, blob, err := freeze(object, secretKey)
		if err != nil {
			return nil, err
		}
		// An object that leaves its namespace to the bundle is the same as one that names it.
		id := item.ObjectID
		for _, same := range []content.ObjectID{id, withNamespace(id, "", namespace), withNamespace(id, namespace, "")} {
			if other, twice := seen[same]; twice {
				file, line := splitSource(object.Source)
				return nil, renderer.Refuse(file, line, "%s stands twice, also at %s", id, other)
			}
		}
		seen[id] = object.Source
		variant.Manifest.Items = append(variant.Manifest.Items, item)
		variant.Blobs[item.Digest] = blob
	}
	variant.Manifest.Sort()
	revision, err := variant.Manifest.Digest()
	variant.Revision = revision
	return variant, err
}

// withNamespace replaces one namespace by another; other identities stay.
func withNamespace(id content.ObjectID, from, to string) content.ObjectID {
	if id.Namespace == from {
		id.Namespace = to
	}
	return id
}

// freeze checks one object and turns it into its item and content.
func freeze(object renderer.Object, secretKey []byte) (content.Item, []byte, error) {
	file, line := splitSource(object.Source)
	refuse := func(format string, args ...any) (content.Item, []byte, error) {
		return content.Item{}, nil, renderer.Refuse(file, line, format, args...)
	}
	if _, sealed := object.Value["sops"]; sealed {
		return refuse("SOPS-encrypted documents are not supported in this version")
	}
	id, problem := identify(object.Value)
	if problem != "" {
		return refuse("%s", problem)
	}
	if problem := checkMetadata(object.Value["metadata"].(map[string]any)); problem != "" {
		return refuse("%s: %s", id, problem)
	}
	bare := maps.Clone(object.Value)
	delete(bare, "status")
	metadata := maps.Clone(object.Value["metadata"].(map[string]any))
	delete(metadata, "creationTimestamp")
	bare["metadata"] = metadata
	blob, err := content.CanonicalJSON(bare)
	if err != nil {
		return refuse("%s: %v", id, err)
	}
	digest := content.Sum(blob)
	if id.Group == "" && id.Kind == "Secret" {
		digest = content.SumSecret(secretKey, blob)
	}
	return content.Item{ObjectID: id, Phase: content.PhaseOf(id.Group, id.Kind), Digest: digest, Source: object.Source}, blob, nil
}

// identify reads an object's identity; problem says what is missing.
func identify(value map[string]any) (id content.ObjectID, problem string) {
	apiVersion, _ := value["apiVersion"].(string)
	id.Kind, _ = value["kind"].(string)
	metadata, isMap := value["metadata"].(map[string]any)
	switch {
	case apiVersion == "":
		return id, "apiVersion is missing"
	case id.Kind == "":
		return id, "kind is missing"
	case !isMap:
		return id, id.Kind + ": metadata.name is missing"
	}
	group, err := schema.ParseGroupVersion(apiVersion)
	if err != nil || group.Version == "" {
		return id, fmt.Sprintf("%q is no apiVersion", apiVersion)
	}
	id.Group = group.Group
	if id.Group == "kustomize.config.k8s.io" {
		return id, "a kustomization is not applied; declare source: {kustomize: {}} in bundle.yaml"
	}
	var ok bool
	if id.Name, ok = metadata["name"].(string); !ok || id.Name == "" {
		if metadata["generateName"] != nil {
			return id, id.Kind + ": metadata.generateName gives another object at each apply; use metadata.name"
		}
		return id, id.Kind + ": metadata.name is missing"
	}
	if id.Namespace, ok = metadata["namespace"].(string); !ok && metadata["namespace"] != nil {
		return id, id.String() + ": metadata.namespace must be a string"
	}
	return id, ""
}

func checkMetadata(metadata map[string]any) (problem string) {
	if metadata["generateName"] != nil {
		return "metadata.generateName is not supported; use metadata.name"
	}
	for _, field := range serverFields {
		if metadata[field] != nil {
			return "metadata." + field + " is set in the cluster; remove it from the manifest"
		}
	}
	for _, field := range []string{"labels", "annotations"} {
		object, isMap := metadata[field].(map[string]any)
		if metadata[field] != nil && !isMap {
			return "metadata." + field + " must be a mapping"
		}
		for _, key := range slices.Sorted(maps.Keys(object)) {
			if _, ok := object[key].(string); !ok {
				return "metadata." + field + "." + key + " must be a string; put it into quotes"
			}
			switch {
			case slices.Contains(laterAnnotations, key) && field == "annotations":
				return "annotation " + key + " is not supported in this version"
			case key == hookAnnotation && field == "annotations":
				return "Helm hooks are not supported in this version (annotation " + key + ")"
			case strings.HasPrefix(key, v1alpha1.Group+"/"):
				return "metadata." + field + "." + key + ": names of " + v1alpha1.Group + "/ are set by the agent"
			}
		}
	}
	return ""
}

// splitSource takes "file:line" apart.
func splitSource(source string) (file string, line int) {
	at := strings.LastIndexByte(source, ':')
	if at < 0 {
		return source, 0
	}
	line, err := strconv.Atoi(source[at+1:])
	if err != nil {
		return source, 0
	}
	return source[:at], line
}

func describe(value map[string]any) string {
	id, _ := identify(value)
	return id.String()
}

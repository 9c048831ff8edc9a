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

// Annotations of Helm.
const (
	hookAnnotation = "helm.sh/hook"
	keepAnnotation = "helm.sh/resource-policy"
)

// serverFields of metadata are the API server's: a manifest that was copied out of a cluster has them.
var serverFields = []string{"uid", "resourceVersion", "generation", "managedFields", "selfLink", "deletionTimestamp",
	"deletionGracePeriodSeconds", "ownerReferences"}

// assembly makes the revision of the final objects.
type assembly struct {
	in      Input
	freezer freezer
	base    *base
}

func (a assembly) variant(objects []renderer.Object) (*Variant, error) {
	if len(objects) == 0 {
		return nil, errors.New("it renders to no objects; to take it off its clusters, remove the bundle or its target")
	}
	namespace := a.in.Inputs.Namespace
	variant := &Variant{Manifest: content.Manifest{DefaultNamespace: namespace, Items: make([]content.Item, 0, len(objects))},
		Blobs: make(map[content.Digest][]byte, len(objects))}
	seen := make(map[content.ObjectID]string, len(objects))
	for _, object := range objects {
		one, err := a.freeze(object)
		if err != nil {
			return nil, err
		}
		// An object that leaves its namespace to the bundle is the same as one that names it.
		id := one.item.ObjectID
		for _, same := range []content.ObjectID{id, withNamespace(id, "", namespace), withNamespace(id, namespace, "")} {
			if other, twice := seen[same]; twice {
				file, line := splitSource(object.Source)
				return nil, renderer.Refuse(file, line, "%s stands twice, also at %s", id, other)
			}
		}
		seen[id] = object.Source
		variant.add(one)
	}
	variant.Manifest.Sort()
	slices.Sort(variant.Required)
	variant.Required = slices.Compact(variant.Required)
	revision, err := variant.Manifest.Digest()
	variant.Revision = revision
	return variant, err
}

// freeze takes what the base has ready where the object is the base's own.
func (a assembly) freeze(object renderer.Object) (frozen, error) {
	one, ok := a.base.frozen[identityOf(object.Value)]
	if !ok {
		var err error
		if one, err = a.freezer.freeze(a.in, object); err != nil {
			return frozen{}, err
		}
	}
	if rules(a.in.Bundle.Spec) && object.Hook == nil {
		// The base is shared by bundles that say different things of it; what the annotations say was read already.
		one.item.Options, _ = optionsOf(a.in.Bundle.Spec, object.Value)
	}
	return one, nil
}

func (v *Variant) add(one frozen) {
	v.Manifest.Items = append(v.Manifest.Items, one.item)
	v.Blobs[one.item.Digest] = one.blob
	if one.judged != nil {
		if v.judged == nil {
			v.judged = map[content.Digest][]byte{}
		}
		v.judged[one.item.Digest] = one.judged
	}
	if one.item.Hook != nil {
		v.Required = append(v.Required, content.CapabilityHooks)
	}
	if one.item.Sealed {
		v.Required = append(v.Required, content.CapabilitySealed)
	}
	v.Required = append(v.Required, one.item.Options.Required()...)
	if len(one.item.Once) > 0 {
		v.Required = append(v.Required, content.CapabilityOnce)
	}
}

// withNamespace replaces one namespace by another; other identities stay.
func withNamespace(id content.ObjectID, from, to string) content.ObjectID {
	if id.Namespace == from {
		id.Namespace = to
	}
	return id
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

func checkMetadata(metadata map[string]any, hook bool) (problem string) {
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
			case slices.Contains(optionAnnotations, key) && field == "annotations":
				continue
			case key == hookAnnotation && field == "annotations" && !hook:
				return "annotation " + key + ": hooks are those of charts; declare source: {helm: {}}"
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

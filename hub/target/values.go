package target

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/target/expr"
	"github.com/periplus-fleet/periplus/hub/target/layer"
	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
)

// ValueOrigin is one value that a bundle has for a cluster, with where it was set and what it overrode. A list is one value.
// The value of a Secret is nil.
type ValueOrigin = layer.Leaf

// Provenance of all values, by path.
type Provenance []ValueOrigin

// ExternalValues gives the text that a ValuesReference names, in a namespace; found is false where the object or its key is
// not there.
type ExternalValues interface {
	Values(namespace string, reference v1alpha1.ValuesReference) (text string, found bool, err error)
}

// DefaultValuesKey is the key of a ValuesReference that names none.
const DefaultValuesKey = "values.yaml"

// errNoHub is what a reference gives where nobody can follow it.
var errNoHub = errors.New("its ConfigMaps and Secrets are in the hub's API, which is not at hand here")

// layers of a pair's values, lowest first. secret says that a Secret gave some of them.
func (s *resolution) layers(match Match) (layers []layer.Layer, secret bool) {
	spec := s.bundle.Spec
	at := fmt.Sprintf("spec.targets[%d]", match.Index)
	references := s.valuesFrom("spec.valuesFrom", spec.ValuesFrom)
	references = append(references, s.valuesFrom(at+".valuesFrom", match.Target.ValuesFrom)...)
	for _, one := range references {
		secret = secret || one.Secret
	}
	layers = append(references, s.declared("spec.values", s.object("spec.values", spec.Values)),
		s.declared(at+".values", s.object(at+".values", match.Target.Values)))
	for _, i := range match.Overlays {
		field := fmt.Sprintf("spec.overlays[%d].values", i)
		layers = append(layers, s.declared(field, s.object(field, spec.Overlays[i].Values)))
	}
	return layers, secret
}

func (s *resolution) declared(field string, values map[string]any) layer.Layer {
	return layer.Layer{Name: field, Values: values, Source: func(path string) string {
		return fmt.Sprintf("%s:%d", s.bundle.File, s.bundle.LineOf(field+"."+path))
	}}
}

// mergeMistake says where in bundle.yaml a layer uses an operator wrongly.
func (s *resolution) mergeMistake(layers []layer.Layer, err error) {
	var wrong *layer.Error
	if errors.As(err, &wrong) {
		s.fail(layers[wrong.Layer].Name+"."+wrong.Path, wrong.Err)
		return
	}
	s.fail("spec.values", err)
}

func (s *resolution) valuesFrom(field string, references []v1alpha1.ValuesReference) []layer.Layer {
	var out []layer.Layer
	for i, reference := range references {
		at := fmt.Sprintf("%s[%d]", field, i)
		text, found, err := "", false, errNoHub
		if s.external != nil {
			text, found, err = s.external.Values(s.cluster.Namespace, reference)
		}
		switch {
		case err != nil:
			s.fail(at, fmt.Errorf("cannot read %s: %w", describeReference(reference), err))
		case !found && !reference.Optional:
			s.fail(at, fmt.Errorf("there is no %s in namespace %q", describeReference(reference), s.cluster.Namespace))
		case found:
			one, err := referenced(reference, text)
			if err != nil {
				s.fail(at, fmt.Errorf("cannot take %s as values: %w", describeReference(reference), err))
			}
			out = append(out, one)
		}
	}
	return out
}

// describeReference is such as ConfigMap "web", key values.yaml.
func describeReference(reference v1alpha1.ValuesReference) string {
	kind, key := "ConfigMap", reference.ConfigMap
	if reference.Secret != nil {
		kind, key = "Secret", reference.Secret
	}
	name := key.Key
	if name == "" {
		name = DefaultValuesKey
	}
	return fmt.Sprintf("%s %q, key %s", kind, key.Name, name)
}

// referenced turns the text of a key into a layer. At the root it is a mapping; below a pointer it may be plain text. Errors
// say nothing of the content: it may be a Secret's.
func referenced(reference v1alpha1.ValuesReference, text string) (layer.Layer, error) {
	out := layer.Layer{Name: describeReference(reference), Secret: reference.Secret != nil}
	documents, err := yamldoc.Parse([]byte(text))
	var value any = text
	lines := map[string]int{}
	if err == nil && len(documents) == 1 {
		if object, ok := documents[0].Object(); ok {
			value, lines = object, documents[0].Lines()
		}
	}
	object, isObject := value.(map[string]any)
	if reference.At == "" || reference.At == "/" {
		if !isObject {
			return out, errors.New("its content is no mapping in YAML; give at, to put text below a key")
		}
		out.Values = object
	} else {
		out.Values = below(reference.At, value)
	}
	prefix := strings.ReplaceAll(strings.TrimPrefix(reference.At, "/"), "/", ".")
	out.Source = func(path string) string {
		own := strings.TrimPrefix(strings.TrimPrefix(path, prefix), ".")
		if line := lines[own]; line > 0 {
			return fmt.Sprintf("%s:%d", out.Name, line)
		}
		return out.Name
	}
	return out, nil
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// below puts a value at a JSON pointer of new mappings.
func below(pointer string, value any) map[string]any {
	tokens := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i := len(tokens) - 1; i >= 0; i-- {
		value = map[string]any{unescape.Replace(tokens[i]): value}
	}
	object, _ := value.(map[string]any)
	return object
}

// Explain gives the provenance of the values that a bundle has for a cluster: those that the bundle's own files give the
// renderer lowest, as a chart's valuesFiles, then valuesFrom, values, and overlays. below are layers that are lower than all.
func (r *Resolver) Explain(bundle fleet.BundleDecl, match Match, cluster Cluster, below ...layer.Layer) ([]ValueOrigin, error) {
	s := r.resolution(bundle, cluster)
	layers, _ := s.layers(match)
	if s.err != nil {
		return nil, s.err
	}
	if _, err := layer.Merge(layers); err != nil {
		s.mergeMistake(layers, err)
		return nil, s.err
	}
	source := bundle.Spec.Source
	if match.Target.Source != nil {
		source = match.Target.Source
	}
	files, err := valuesFiles(bundle, source)
	if err != nil {
		return nil, err
	}
	return layer.Explain(slices.Concat(below, files, layers))
}

// valuesFiles are the layers that the renderer reads by itself.
func valuesFiles(bundle fleet.BundleDecl, source *v1alpha1.BundleSource) ([]layer.Layer, error) {
	if source == nil || source.Helm == nil || bundle.Tree == nil {
		return nil, nil
	}
	var out []layer.Layer
	for _, relative := range source.Helm.ValuesFiles {
		file := path.Join(bundle.Path, relative)
		data, err := bundle.Tree.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read values file %q: %w", file, err)
		}
		layers, err := FileLayers(file, data)
		if err != nil {
			return nil, err
		}
		out = append(out, layers...)
	}
	return out, nil
}

// FileLayers are the values of a file that a renderer reads by itself.
func FileLayers(file string, data []byte) ([]layer.Layer, error) {
	documents, err := yamldoc.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var out []layer.Layer
	for _, document := range documents {
		object, ok := document.Object()
		if !ok {
			return nil, fmt.Errorf("%s:%d: values are a mapping", file, document.Line)
		}
		out = append(out, layer.Layer{Name: file, Values: object, Plain: true, Source: func(path string) string {
			return fmt.Sprintf("%s:%d", file, document.LineOf(path))
		}})
	}
	return out, nil
}

// Reads are the fields of a cluster that a bundle's inputs depend on, by its expressions.
func (r *Resolver) Reads(spec v1alpha1.BundleSpec) expr.Reads {
	out := r.expr.Reads(spec.Namespace)
	texts := func(values map[string]string) {
		for _, value := range values {
			out = out.Union(r.expr.Reads(value))
		}
	}
	texts(spec.Labels)
	texts(spec.Annotations)
	block := func(values any, set []v1alpha1.SetValue, patches []v1alpha1.Patch) {
		out = out.Union(r.expr.Reads(values))
		for i := range set {
			value, _ := fleet.DecodeJSON(&set[i].Value)
			out = out.Union(r.expr.Reads(value))
		}
		for _, patch := range patches {
			out = out.Union(r.expr.Reads(patch.Patch))
		}
	}
	// What does not decode was refused when the bundle was read.
	values, _ := fleet.DecodeJSON(spec.Values)
	block(values, spec.Set, spec.Patches)
	for _, target := range spec.Targets {
		values, _ := fleet.DecodeJSON(target.Values)
		block(values, target.Set, target.Patches)
	}
	for _, overlay := range spec.Overlays {
		values, _ := fleet.DecodeJSON(overlay.Values)
		block(values, overlay.Set, overlay.Patches)
	}
	return out
}

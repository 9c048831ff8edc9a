package target

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/target/expr"
	"github.com/periplus-fleet/periplus/hub/target/layer"
)

// Inputs are everything of a (bundle, cluster) pair that its rendering depends on, besides the content itself. Pairs with
// equal inputs share a variant.
type Inputs struct {
	// Source and Ref of the content; nil where the bundle's own folder and commit count.
	Source *v1alpha1.BundleSource
	Ref    *v1alpha1.GitRef
	// Namespace for objects that name none.
	Namespace string
	// Values of the renderer.
	Values map[string]any
	// Secret says that a Secret gave some of the values, so that what they render to is one.
	Secret bool
	// Patches, Labels with Annotations, and Set change what was rendered, in this order.
	Labels      map[string]string
	Annotations map[string]string
	Patches     []v1alpha1.Patch
	// PatchFields name each of Patches in bundle.yaml, for messages.
	PatchFields []string
	Set         []Set
}

// Set is one value by pointer, with its expressions evaluated.
type Set struct {
	Target  v1alpha1.ObjectMatch
	Pointer string
	Value   any
	// Field in bundle.yaml, for messages.
	Field string
}

// Resolver makes inputs. It is safe for concurrent use.
type Resolver struct {
	expr     *expr.Evaluator
	external ExternalValues
}

// NewResolver makes a resolver with its own cache of expressions.
func NewResolver() (*Resolver, error) {
	evaluator, err := expr.New()
	if err != nil {
		return nil, err
	}
	return &Resolver{expr: evaluator}, nil
}

// With gives a resolver that follows valuesFrom. Without, a reference is an error of its pair.
func (r *Resolver) With(external ExternalValues) *Resolver {
	return &Resolver{expr: r.expr, external: external}
}

// resolution is the state of one Inputs call; err is the first mistake.
type resolution struct {
	bundle   fleet.BundleDecl
	cluster  Cluster
	expr     *expr.Evaluator
	external ExternalValues
	facts    map[string]any
	err      error
}

func (r *Resolver) resolution(bundle fleet.BundleDecl, cluster Cluster) *resolution {
	return &resolution{bundle: bundle, cluster: cluster, expr: r.expr, external: r.external, facts: facts(cluster)}
}

// Inputs layers the target's declarations over the bundle's, then those of the overlays, and evaluates all expressions. The error is an *Error that names
// file, line and field.
func (r *Resolver) Inputs(bundle fleet.BundleDecl, match Match, cluster Cluster) (Inputs, error) {
	spec, target := bundle.Spec, match.Target
	at := fmt.Sprintf("spec.targets[%d]", match.Index)
	s := r.resolution(bundle, cluster)
	in := Inputs{Source: spec.Source, Ref: target.Ref, Namespace: s.text("spec.namespace", spec.Namespace)}
	if target.Source != nil {
		in.Source = target.Source
	}
	if problems := validation.IsDNS1123Label(in.Namespace); in.Namespace != "" && len(problems) > 0 {
		s.fail("spec.namespace", fmt.Errorf("%q is no namespace: %s", in.Namespace, problems[0]))
	}
	layers, secret := s.layers(match)
	values, err := layer.Merge(layers)
	if err != nil {
		s.mergeMistake(layers, err)
	}
	in.Values, in.Secret = values, secret
	for _, key := range slices.Sorted(maps.Keys(spec.Labels)) {
		field := "spec.labels." + key
		if in.Labels == nil {
			in.Labels = map[string]string{}
		}
		in.Labels[key] = s.text(field, spec.Labels[key])
		if problems := validation.IsValidLabelValue(in.Labels[key]); len(problems) > 0 {
			s.fail(field, fmt.Errorf("no valid label value: %s", problems[0]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(spec.Annotations)) {
		if in.Annotations == nil {
			in.Annotations = map[string]string{}
		}
		in.Annotations[key] = s.text("spec.annotations."+key, spec.Annotations[key])
	}
	in.Patches = append(s.patches("spec.patches", spec.Patches), s.patches(at+".patches", target.Patches)...)
	in.PatchFields = append(fieldNames("spec.patches", spec.Patches), fieldNames(at+".patches", target.Patches)...)
	in.Set = append(s.set("spec.set", spec.Set), s.set(at+".set", target.Set)...)
	for _, i := range match.Overlays {
		overlay, field := spec.Overlays[i], fmt.Sprintf("spec.overlays[%d]", i)
		in.Patches = append(in.Patches, s.patches(field+".patches", overlay.Patches)...)
		in.PatchFields = append(in.PatchFields, fieldNames(field+".patches", overlay.Patches)...)
		in.Set = append(in.Set, s.set(field+".set", overlay.Set)...)
	}
	if s.err != nil {
		return Inputs{}, s.err
	}
	return in, nil
}

func fieldNames(field string, patches []v1alpha1.Patch) []string {
	names := make([]string, len(patches))
	for i := range patches {
		names[i] = fmt.Sprintf("%s[%d]", field, i)
	}
	return names
}

// fail keeps the first mistake.
func (s *resolution) fail(field string, err error) {
	if s.err == nil {
		s.err = mistake(s.bundle, s.cluster, field, err)
	}
}

func (s *resolution) expand(field string, value any) any {
	expanded, err := s.expr.Expand(value, field, s.facts)
	var failed *expr.Error
	if errors.As(err, &failed) {
		s.fail(failed.Path, failed.Err)
	} else if err != nil {
		s.fail(field, err)
	}
	return expanded
}

func (s *resolution) text(field, value string) string {
	if value == "" {
		return ""
	}
	expanded, ok := s.expand(field, value).(string)
	if !ok && s.err == nil {
		s.fail(field, errors.New("the expression must give a string"))
	}
	return expanded
}

func (s *resolution) object(field string, raw *apiextensionsv1.JSON) map[string]any {
	decoded, err := fleet.DecodeJSON(raw)
	if err != nil {
		s.fail(field, err)
		return nil
	}
	object, _ := s.expand(field, decoded).(map[string]any)
	return object
}

func (s *resolution) patches(field string, patches []v1alpha1.Patch) []v1alpha1.Patch {
	var out []v1alpha1.Patch
	for i, patch := range patches {
		patch.Patch = s.text(fmt.Sprintf("%s[%d].patch", field, i), patch.Patch)
		out = append(out, patch)
	}
	return out
}

func (s *resolution) set(field string, values []v1alpha1.SetValue) []Set {
	var out []Set
	for i, value := range values {
		at := fmt.Sprintf("%s[%d]", field, i)
		decoded, err := fleet.DecodeJSON(&value.Value)
		if err != nil {
			s.fail(at+".value", err)
			continue
		}
		out = append(out, Set{Target: value.Target, Pointer: value.Pointer, Value: s.expand(at+".value", decoded), Field: at})
	}
	return out
}

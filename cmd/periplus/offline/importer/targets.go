package importer

import (
	"reflect"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// Variant is what a bundle is for some clusters, told in full.
type Variant struct {
	Name    string
	Match   v1alpha1.ClusterMatch
	Source  *v1alpha1.BundleSource
	Values  map[string]any
	From    []v1alpha1.ValuesReference
	Patches []v1alpha1.Patch
}

// Targets writes variants as targets: what all share goes to the bundle itself, and clusters that differ in nothing share a
// target. The variants' matches must not overlap, or stand in the order in which they win.
func (b *Bundle) Targets(variants []Variant) {
	variants = joined(variants)
	if len(variants) == 0 {
		return
	}
	first := variants[0]
	var all []map[string]any
	sameSource, sameFrom, samePatches := true, true, true
	for _, variant := range variants {
		all = append(all, variant.Values)
		sameSource = sameSource && reflect.DeepEqual(variant.Source, first.Source)
		sameFrom = sameFrom && reflect.DeepEqual(variant.From, first.From)
		samePatches = samePatches && reflect.DeepEqual(variant.Patches, first.Patches)
	}
	shared, rest := Common(all)
	b.Spec.Values = JSON(shared)
	if sameSource {
		b.Spec.Source = first.Source
	}
	if sameFrom {
		b.Spec.ValuesFrom = first.From
	}
	if samePatches {
		b.Spec.Patches = append(b.Spec.Patches, first.Patches...)
	}
	for i, variant := range variants {
		target := v1alpha1.Target{Name: variant.Name, ClusterMatch: variant.Match, Values: JSON(rest[i])}
		if !sameSource {
			target.Source = variant.Source
		}
		if !sameFrom {
			target.ValuesFrom = variant.From
		}
		if !samePatches {
			target.Patches = variant.Patches
		}
		b.Spec.Targets = append(b.Spec.Targets, target)
	}
}

// joined makes one variant of neighbours that choose clusters by name and are alike otherwise.
func joined(variants []Variant) []Variant {
	var out []Variant
	for _, variant := range variants {
		i := slices.IndexFunc(out, func(other Variant) bool { return byName(other) && byName(variant) && alike(other, variant) })
		if i < 0 {
			out = append(out, variant)
			continue
		}
		names := slices.Concat(out[i].Match.ClusterNames, variant.Match.ClusterNames)
		slices.Sort(names)
		out[i].Match.ClusterNames = slices.Compact(names)
		out[i].Name = ""
	}
	return out
}

func byName(variant Variant) bool {
	return reflect.DeepEqual(variant.Match, v1alpha1.ClusterMatch{ClusterNames: variant.Match.ClusterNames})
}

func alike(a, b Variant) bool {
	a.Name, b.Name = "", ""
	a.Match, b.Match = v1alpha1.ClusterMatch{}, v1alpha1.ClusterMatch{}
	return equalJSON(JSON(a.Values), JSON(b.Values)) && reflect.DeepEqual(a.Source, b.Source) &&
		reflect.DeepEqual(a.From, b.From) && reflect.DeepEqual(a.Patches, b.Patches)
}

func equalJSON(a, b *apiextensionsv1.JSON) bool { return reflect.DeepEqual(a, b) }

// Clusters names clusters.
func Clusters(names ...string) v1alpha1.ClusterMatch {
	return v1alpha1.ClusterMatch{ClusterNames: names}
}

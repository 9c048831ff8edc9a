package engine

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kinds are the kinds that some policy names at a point, sorted. Kind "*" stands for all of a group; all is set where a policy
// is about every kind, and the list then holds what others name beside it.
func (s *Snapshot) Kinds(point string) (named []schema.GroupKind, all bool) {
	return s.KindsOf(func(p *Policy) bool { return slices.Contains(p.Metadata.Points, point) })
}

// KindsOf are the kinds that the chosen policies name, as Kinds has them.
func (s *Snapshot) KindsOf(chosen func(*Policy) bool) (named []schema.GroupKind, all bool) {
	found, constrained, every := map[schema.GroupKind]bool{}, map[schema.GroupKind]bool{}, false
	for _, p := range s.Policies() {
		if !chosen(p) {
			continue
		}
		into, star := found, len(p.Metadata.Kinds) == 0
		if p.constraint != nil {
			into = constrained
		}
		for _, text := range p.Metadata.Kinds {
			if text == "*" {
				star = true
				continue
			}
			kind, group, _ := strings.Cut(text, ".")
			into[schema.GroupKind{Group: group, Kind: kind}] = true
		}
		all, every = all || star, every || star && p.constraint != nil
	}
	if s != nil {
		// A constraint about Pods is about what they are made of, too.
		s.expandable(constrained, every)
	}
	maps.Copy(found, constrained)
	return slices.SortedFunc(maps.Keys(found), func(a, b schema.GroupKind) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Kind, b.Kind))
	}), all
}

// Builtins are the names of the built-in functions that the policies call, sorted: who evaluates the snapshot must have them all.
func (s *Snapshot) Builtins() []string {
	found := map[string]bool{}
	for _, p := range s.Policies() {
		for _, name := range p.Builtins {
			found[name] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// MissingBuiltins are those of the names that this version has not, or allows no policy to call.
func MissingBuiltins(names []string) []string {
	have := map[string]bool{}
	for _, b := range capabilities().Builtins {
		have[b.Name] = true
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return have[name] })
}

package engine

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Since tells, by their group and kind, which objects a snapshot may judge otherwise than an earlier one. It is what a change of
// policies costs: all others keep the verdicts that they have.
func (s *Snapshot) Since(before *Snapshot) func(group, kind string) bool {
	if s.digest() == before.digest() {
		return func(string, string) bool { return false }
	}
	if s.expansionText() != before.expansionText() {
		return func(string, string) bool { return true }
	}
	was, is := map[string]*Policy{}, map[string]*Policy{}
	for _, p := range before.Policies() {
		was[p.Name] = p
	}
	for _, p := range s.Policies() {
		is[p.Name] = p
	}
	var changed []*Policy
	for _, name := range slices.Sorted(maps.Keys(merge(was, is))) {
		if old, now := was[name], is[name]; old != nil && now != nil && before.text(old) == s.text(now) {
			continue
		}
		for _, p := range []*Policy{was[name], is[name]} {
			if p != nil {
				changed = append(changed, p)
			}
		}
	}
	if len(changed) == 0 {
		// Something changed that no policy owns.
		return func(string, string) bool { return true }
	}
	concerned := newIndex(changed)
	return func(group, kind string) bool {
		return slices.ContainsFunc(s.madeOf(schema.GroupKind{Group: group, Kind: kind}), func(made schema.GroupKind) bool {
			return len(concerned.find(made.Group, made.Kind)) > 0
		})
	}
}

func (s *Snapshot) digest() string {
	if s == nil {
		return ""
	}
	return s.Digest
}

// text of all that a policy's verdicts depend on beside objects and clusters.
func (s *Snapshot) text(p *Policy) string {
	out := fmt.Sprint(p.Digest, " ", encode(p.Metadata))
	for _, b := range s.bound[p.Name] {
		out += fmt.Sprint("\nbinding ", b.name, " ", encode(b.spec))
	}
	for _, e := range s.exempt[p.Name] {
		out += fmt.Sprint("\nexemption ", e.name, " ", encode(e.spec))
	}
	return out
}

func merge[V any](one, other map[string]V) map[string]V {
	out := maps.Clone(one)
	maps.Copy(out, other)
	return out
}

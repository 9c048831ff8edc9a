package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// Considered is one policy with regard to one object: what it says, or why it was not asked.
type Considered struct {
	Policy *Policy
	// Effective action and parameters on the cluster, with what set them; Problem is why they cannot be decided.
	Effective Effective
	Problem   error
	// NotAsked says why the policy was not asked; "" where it was.
	NotAsked string
	// Findings of it, after exemptions; none where nothing is wrong.
	Findings []Finding
}

// Consider says of every policy whether it is asked about an object, and what it says: what Review says, with the reasons.
func (r *Reviewer) Consider(ctx context.Context, object *Object) ([]Considered, error) {
	w := newWork(ctx, r)
	defer w.end()
	var asked []*Policy
	asked = append(asked, r.snapshot.index.find(object.ID.Group, object.ID.Kind)...)
	var out []Considered
	for _, p := range r.snapshot.Policies() {
		one := Considered{Policy: p}
		one.Effective, one.Problem = r.snapshot.Effective(p, r.cluster.Labels)
		if one.NotAsked = r.notAsked(p, object, slices.Contains(asked, p)); one.NotAsked == "" {
			findings, err := r.each(w, []*Policy{p}, object, object.ID, "", nil)
			if err != nil {
				return nil, err
			}
			one.Findings = findings
		}
		out = append(out, one)
	}
	return out, nil
}

func (r *Reviewer) notAsked(p *Policy, object *Object, indexed bool) string {
	kind := object.ID.Kind
	if object.ID.Group != "" {
		kind += "." + object.ID.Group
	}
	switch {
	case !slices.Contains(p.Metadata.Points, r.point):
		return fmt.Sprintf("it is asked at %s, not at %s", strings.Join(p.Metadata.Points, ", "), r.point)
	case !indexed:
		return fmt.Sprintf("it is about %s, not about %s", strings.Join(p.Metadata.Kinds, ", "), kind)
	case p.shape == conftest && !p.declared && object.ID.Group == v1alpha1.Group:
		return "a conftest package without METADATA is not asked about declarations of the fleet"
	case p.constraint != nil:
		return p.constraint.match.why(object, r.point)
	}
	return ""
}

// why a match does not cover an object; "" where it does.
func (m match) why(o *Object, point string) string {
	if is, unknown := m.concerns(o, point); is || unknown {
		return ""
	}
	// One condition after the other: the first without which it would be covered.
	for _, part := range []struct {
		named string
		drop  func(*match)
	}{
		{"kinds", func(m *match) { m.Kinds = nil }},
		{"scope", func(m *match) { m.Scope = "" }},
		{"name", func(m *match) { m.Name = "" }},
		{"source", func(m *match) { m.Source = "" }},
		{"namespaces", func(m *match) { m.Namespaces = nil }},
		{"excludedNamespaces", func(m *match) { m.ExcludedNamespaces = nil }},
		{"labelSelector", func(m *match) { m.byLabel = nil }},
		{"namespaceSelector", func(m *match) { m.byNamespace = nil }},
	} {
		without := m
		part.drop(&without)
		if is, _ := without.concerns(o, point); is {
			return "its spec.match." + part.named + " does not cover the object"
		}
	}
	return "its spec.match does not cover the object"
}

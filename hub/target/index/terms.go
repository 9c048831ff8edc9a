package index

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/hub/target/expr"
)

// Fields by which bundles speak of clusters.
const (
	fieldLabels     = "labels"
	fieldProperties = "properties"
	fieldName       = "name"
)

// A term is a field with a value; a mention is a term, a field at whatever value, or whether it is there at all.
func term(field, value string) string { return field + "=" + value }
func presence(field string) string    { return field + "?" }
func keyed(outer, key string) string  { return outer + "." + key }

const anything = "*"

func termsOf(c target.Cluster) []string {
	terms := make([]string, 0, len(c.Labels)+len(c.Properties)+1)
	terms = append(terms, term(fieldName, c.Name))
	for key, value := range c.Labels {
		terms = append(terms, term(keyed(fieldLabels, key), value))
	}
	for key, value := range c.Properties {
		terms = append(terms, term(keyed(fieldProperties, key), value))
	}
	return terms
}

// anchors are terms of which a cluster must hold one to be chosen: of each target the narrowest of its requirements. all says
// that some target has none.
func (x *Index) anchors(targets []fleet.Matcher) (terms []string, all bool) {
	for _, matcher := range targets {
		one := x.anchor(matcher)
		if one == nil {
			return nil, true
		}
		terms = append(terms, one...)
	}
	slices.Sort(terms)
	return slices.Compact(terms), false
}

func (x *Index) anchor(matcher fleet.Matcher) []string {
	if len(matcher.Names) > 0 && !slices.ContainsFunc(matcher.Names, func(name string) bool { return strings.Contains(name, "*") }) {
		var terms []string
		for _, name := range matcher.Names {
			terms = append(terms, term(fieldName, name))
		}
		return terms
	}
	best := narrowest(nil, fieldLabels, matcher.Labels)
	best = narrowest(best, fieldProperties, matcher.Properties)
	if group := x.groups[matcher.Group]; group != nil {
		best = narrowest(best, fieldLabels, group.Selector())
	}
	return best
}

// narrowest keeps the requirement with the fewest values; an unknown number of clusters holds any of them.
func narrowest(best []string, outer string, selector labels.Selector) []string {
	if selector == nil {
		return best
	}
	requirements, selectable := selector.Requirements()
	if !selectable {
		return best
	}
	for _, r := range requirements {
		switch r.Operator() {
		case selection.In, selection.Equals, selection.DoubleEquals:
		default:
			continue
		}
		if values := r.ValuesUnsorted(); best == nil || len(values) < len(best) {
			best = []string{}
			for _, value := range values {
				best = append(best, term(keyed(outer, r.Key()), value))
			}
		}
	}
	return best
}

// mentioned are all mentions by a bundle, and the groups that it names.
func (x *Index) mentioned(decl fleet.BundleDecl, reads expr.Reads) (mentions, groups []string) {
	found, named := map[string]bool{}, map[string]bool{}
	read(found, reads)
	for _, matcher := range slices.Concat(decl.Matchers.Targets, decl.Matchers.Overlays, decl.Matchers.Exclude) {
		selected(found, fieldLabels, matcher.Labels)
		selected(found, fieldProperties, matcher.Properties)
		if matcher.Condition != nil {
			read(found, matcher.Condition.Reads())
		}
		if matcher.Group != "" {
			named[matcher.Group] = true
			if group := x.groups[matcher.Group]; group != nil {
				selected(found, fieldLabels, group.Selector())
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(named))
}

// selected notes what a selector can be moved by: from or to one of its values, or by a key that comes or goes.
func selected(found map[string]bool, outer string, selector labels.Selector) {
	if selector == nil {
		return
	}
	requirements, _ := selector.Requirements()
	for _, r := range requirements {
		field := keyed(outer, r.Key())
		switch r.Operator() {
		case selection.In, selection.Equals, selection.DoubleEquals, selection.NotIn, selection.NotEquals:
			for _, value := range r.ValuesUnsorted() {
				found[term(field, value)] = true
			}
		case selection.Exists, selection.DoesNotExist:
			found[presence(field)] = true
		default:
			found[field] = true
		}
	}
}

func read(found map[string]bool, reads expr.Reads) {
	if reads.All {
		found[anything] = true
	}
	for _, field := range reads.Fields {
		found[field] = true
	}
}

// change is what two states of a cluster differ in, as the mentions that it concerns.
type change struct {
	mentions []string
	taints   bool
}

func changed(before, after target.Cluster) change {
	found := map[string]bool{}
	field := func(name string) { found[name], found[outermost(name)], found[anything] = true, true, true }
	texts := func(outer string, old, now map[string]string) {
		for key := range union(old, now) {
			was, had := old[key]
			is, has := now[key]
			if had == has && was == is {
				continue
			}
			name := keyed(outer, key)
			field(name)
			if had {
				found[term(name, was)] = true
			}
			if has {
				found[term(name, is)] = true
			}
			if had != has {
				found[presence(name)] = true
			}
		}
	}
	texts(fieldLabels, before.Labels, after.Labels)
	texts(fieldProperties, before.Properties, after.Properties)
	for key := range union(before.Variables, after.Variables) {
		was, had := before.Variables[key]
		is, has := after.Variables[key]
		if had != has || !reflect.DeepEqual(was, is) {
			field(keyed("variables", key))
		}
	}
	if before.Version != after.Version {
		field("version")
	}
	out := change{taints: !slices.Equal(before.Taints, after.Taints)}
	if out.taints {
		field("taints")
	}
	out.mentions = slices.Sorted(maps.Keys(found))
	return out
}

func union[V any](a, b map[string]V) map[string]bool {
	out := make(map[string]bool, len(a)+len(b))
	for key := range a {
		out[key] = true
	}
	for key := range b {
		out[key] = true
	}
	return out
}

// outermost is labels of labels.env.
func outermost(field string) string {
	outer, _, _ := strings.Cut(field, ".")
	return outer
}

package fleet

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
)

// placed is a target of Fleet as a match of clusters; a selector of groups may give several.
type placed struct {
	name  string
	match v1alpha1.ClusterMatch
}

func (r *reading) targets(d importer.Document, field string, given []target) []placed {
	var out []placed
	for i, one := range given {
		out = append(out, r.place(d, fmt.Sprintf("%s[%d]", field, i), one)...)
	}
	return out
}

func (r *reading) place(d importer.Document, field string, one target) []placed {
	match := v1alpha1.ClusterMatch{ClusterSelector: one.ClusterSelector}
	if one.ClusterName != "" {
		match.ClusterNames = []string{importer.Name(one.ClusterName)}
	}
	if one.ClusterGroup != "" {
		match.ClusterGroup = importer.Name(one.ClusterGroup)
	}
	if one.ClusterGroupSelector == nil {
		if reflect.DeepEqual(match, v1alpha1.ClusterMatch{}) {
			r.repo.Report.LeftOut(d.At(field), "target "+one.Name, "it names no clusters, and so it matches none", "")
			return nil
		}
		return []placed{{one.Name, match}}
	}
	selector, err := metav1.LabelSelectorAsSelector(one.ClusterGroupSelector)
	var out []placed
	for name, group := range r.groups {
		if err == nil && selector.Matches(labels.Set(group.Metadata.Labels)) {
			chosen := match
			chosen.ClusterGroup = importer.Name(name)
			out = append(out, placed{strings.Trim(one.Name+"-"+name, "-"), chosen})
		}
	}
	slices.SortFunc(out, func(a, b placed) int { return strings.Compare(a.name, b.name) })
	r.repo.Report.Differs(d.At(field+".clusterGroupSelector"), "target "+one.Name+": clusterGroupSelector",
		fmt.Sprintf("a target names one group: written for the %d groups that match now", len(out)), "add a target for each group that is to come")
	return out
}

// both chooses what two matches choose together; possible is false where that is nothing, or cannot be said.
func both(a, b v1alpha1.ClusterMatch) (match v1alpha1.ClusterMatch, possible bool, why string) {
	if reflect.DeepEqual(a, b) {
		return a, true, ""
	}
	out := v1alpha1.ClusterMatch{ClusterGroup: a.ClusterGroup, ClusterNames: a.ClusterNames}
	switch {
	case a.ClusterGroup != "" && b.ClusterGroup != "" && a.ClusterGroup != b.ClusterGroup:
		return out, false, fmt.Sprintf("a target cannot ask for two groups at once, %s and %s", a.ClusterGroup, b.ClusterGroup)
	case b.ClusterGroup != "":
		out.ClusterGroup = b.ClusterGroup
	}
	switch {
	case len(a.ClusterNames) > 0 && len(b.ClusterNames) > 0 && !slices.Equal(a.ClusterNames, b.ClusterNames):
		return out, false, ""
	case len(b.ClusterNames) > 0:
		out.ClusterNames = b.ClusterNames
	}
	switch {
	case a.ClusterSelector == nil:
		out.ClusterSelector = b.ClusterSelector
	case b.ClusterSelector == nil:
		out.ClusterSelector = a.ClusterSelector
	default:
		merged := a.ClusterSelector.DeepCopy()
		for key, value := range b.ClusterSelector.MatchLabels {
			if have, ok := merged.MatchLabels[key]; ok && have != value {
				return out, false, ""
			}
			metav1.AddLabelToSelector(merged, key, value)
		}
		for _, expression := range b.ClusterSelector.MatchExpressions {
			if !slices.ContainsFunc(merged.MatchExpressions, func(e metav1.LabelSelectorRequirement) bool { return reflect.DeepEqual(e, expression) }) {
				merged.MatchExpressions = append(merged.MatchExpressions, expression)
			}
		}
		out.ClusterSelector = merged
	}
	if everywhere(out.ClusterSelector) && (out.ClusterGroup != "" || len(out.ClusterNames) > 0) {
		out.ClusterSelector = nil
	}
	return out, true, ""
}

// simplified leaves out of a match what the group that it names says already; possible is false where both cannot be.
func (r *reading) simplified(match v1alpha1.ClusterMatch) (_ v1alpha1.ClusterMatch, possible bool) {
	of, known := r.repo.Groups[match.ClusterGroup]
	if !known || match.ClusterSelector == nil {
		return match, true
	}
	group := v1alpha1.ClusterMatch{ClusterSelector: &of}
	joint, possible, _ := both(group, v1alpha1.ClusterMatch{ClusterSelector: match.ClusterSelector})
	if possible && reflect.DeepEqual(joint, group) {
		match.ClusterSelector = nil
	}
	return match, possible
}

func everywhere(selector *metav1.LabelSelector) bool {
	return selector != nil && len(selector.MatchLabels) == 0 && len(selector.MatchExpressions) == 0
}

// disjoint is true where no cluster can match both, as far as labels and names show.
func disjoint(a, b v1alpha1.ClusterMatch) bool {
	_, possible, why := both(a, b)
	return !possible && why == ""
}

// condition is a match in CEL over cluster; ok is false where a group is meant, which expressions do not see.
func condition(match v1alpha1.ClusterMatch) (text string, ok bool) {
	if match.ClusterGroup != "" {
		return "", false
	}
	var terms []string
	if len(match.ClusterNames) > 0 {
		terms = append(terms, fmt.Sprintf("cluster.name in [%s]", quoted(match.ClusterNames)))
	}
	if match.ClusterSelector != nil {
		for _, key := range slices.Sorted(maps.Keys(match.ClusterSelector.MatchLabels)) {
			terms = append(terms, fmt.Sprintf("(%q in cluster.labels && cluster.labels[%q] == %q)", key, key, match.ClusterSelector.MatchLabels[key]))
		}
		for _, e := range match.ClusterSelector.MatchExpressions {
			switch e.Operator {
			case metav1.LabelSelectorOpIn:
				terms = append(terms, fmt.Sprintf("(%q in cluster.labels && cluster.labels[%q] in [%s])", e.Key, e.Key, quoted(e.Values)))
			case metav1.LabelSelectorOpNotIn:
				terms = append(terms, fmt.Sprintf("!(%q in cluster.labels && cluster.labels[%q] in [%s])", e.Key, e.Key, quoted(e.Values)))
			case metav1.LabelSelectorOpExists:
				terms = append(terms, fmt.Sprintf("%q in cluster.labels", e.Key))
			case metav1.LabelSelectorOpDoesNotExist:
				terms = append(terms, fmt.Sprintf("!(%q in cluster.labels)", e.Key))
			}
		}
	}
	if len(terms) == 0 {
		return "true", true
	}
	return "(" + strings.Join(terms, " && ") + ")", true
}

func quoted(values []string) string {
	var out []string
	for _, value := range values {
		out = append(out, fmt.Sprintf("%q", value))
	}
	return strings.Join(out, ", ")
}

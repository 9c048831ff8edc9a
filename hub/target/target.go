// Package target decides which bundle goes to which cluster and with what inputs: exclusions, taints, the first target that
// matches, every overlay that matches, layered values, expressions over the cluster. It stands between fleet, which reads the
// declarations, and render. It is pure: what one cluster lacks is an error of that pair alone.
package target

import (
	"fmt"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
)

// Group is a compiled ClusterGroup.
type Group struct {
	Name     string
	selector labels.Selector
}

// NewGroup takes the compiled selector of a declaration.
func NewGroup(decl fleet.GroupDecl) *Group {
	return &Group{Name: decl.Group.Name, selector: decl.Selector}
}

// Groups by name.
func Groups(decls []fleet.GroupDecl) map[string]*Group {
	groups := make(map[string]*Group, len(decls))
	for _, decl := range decls {
		groups[decl.Group.Name] = NewGroup(decl)
	}
	return groups
}

// Has says whether a cluster with these labels is in the group.
func (g *Group) Has(cluster Cluster) bool { return g.selector.Matches(labels.Set(cluster.Labels)) }

// Selector over the labels of clusters.
func (g *Group) Selector() labels.Selector { return g.selector }

// Match is the target of a bundle that chose a cluster.
type Match struct {
	Index int
	// Name of the target, or its index as text.
	Name   string
	Target *v1alpha1.Target
	// Overlays that match too, in their order.
	Overlays []int
	// Why the bundle does not go there, where it does not: for a person.
	Why string
}

// Error is a mistake that shows for one cluster only.
type Error struct {
	File    string
	Line    int
	Field   string
	Cluster string
	Err     error
}

// Error is "file:line: field: for cluster "name": cause".
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d: %s: for cluster %q: %v", e.File, e.Line, e.Field, e.Cluster, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

func mistake(bundle fleet.BundleDecl, cluster Cluster, field string, err error) error {
	return &Error{File: bundle.File, Line: bundle.LineOf(field), Field: field, Cluster: cluster.Name, Err: err}
}

// MatchBundle chooses for a cluster that does not have the bundle yet: see MatchDelivered.
func MatchBundle(bundle fleet.BundleDecl, groups map[string]*Group, cluster Cluster) (match Match, ok bool, err error) {
	return MatchDelivered(bundle, groups, cluster, false)
}

// MatchDelivered asks, in this order: is the cluster excluded, does it have a taint that the bundle does not tolerate, which is
// the first target that chooses it, and which overlays match. ok is false where the bundle does not go there. delivered says
// that the cluster has the bundle, which a taint NoSelectIfNew lets it keep.
//
// A group that nobody declares, and an expression that fails, are errors: what they would have chosen is unknown, so nobody
// leaves because of it.
func MatchDelivered(bundle fleet.BundleDecl, groups map[string]*Group, cluster Cluster, delivered bool) (match Match, ok bool, err error) {
	m := matching{bundle: bundle, groups: groups, cluster: cluster}
	for i, exclude := range bundle.Matchers.Exclude {
		excluded, err := m.matches(fmt.Sprintf("spec.exclude[%d]", i), exclude)
		if err != nil {
			return Match{}, false, err
		}
		if excluded {
			return Match{Why: fmt.Sprintf("spec.exclude[%d] takes cluster %s out", i, cluster.Name)}, false, nil
		}
	}
	if taint := Untolerated(cluster.Taints, bundle.Spec.Tolerations, delivered); taint != nil {
		return Match{Why: fmt.Sprintf("cluster %s has the taint %s, which the bundle does not tolerate", cluster.Name, taintText(*taint))}, false, nil
	}
	for i, one := range bundle.Matchers.Targets {
		chosen, err := m.matches(fmt.Sprintf("spec.targets[%d]", i), one)
		if err != nil {
			return Match{}, false, err
		}
		if !chosen {
			continue
		}
		target := &bundle.Spec.Targets[i]
		match = Match{Index: i, Name: target.Name, Target: target}
		if match.Name == "" {
			match.Name = strconv.Itoa(i)
		}
		match.Overlays, err = m.overlays()
		return match, err == nil, err
	}
	return Match{Why: fmt.Sprintf("no target matches cluster %s", cluster.Name)}, false, nil
}

// Untolerated is the first taint that keeps a bundle away; nil where none does.
func Untolerated(taints []v1alpha1.ClusterTaint, tolerations []v1alpha1.ClusterToleration, delivered bool) *v1alpha1.ClusterTaint {
	for i, taint := range taints {
		if taint.Effect == v1alpha1.NoSelectIfNew && delivered {
			continue
		}
		if !slices.ContainsFunc(tolerations, func(t v1alpha1.ClusterToleration) bool { return tolerates(t, taint) }) {
			return &taints[i]
		}
	}
	return nil
}

func tolerates(toleration v1alpha1.ClusterToleration, taint v1alpha1.ClusterTaint) bool {
	if toleration.Effect != "" && toleration.Effect != taint.Effect || toleration.Key != "" && toleration.Key != taint.Key {
		return false
	}
	if toleration.Operator == "Exists" {
		return true
	}
	return toleration.Key != "" && toleration.Value == taint.Value
}

func taintText(taint v1alpha1.ClusterTaint) string {
	text := taint.Key
	if taint.Value != "" {
		text += "=" + taint.Value
	}
	return text + ":" + string(taint.Effect)
}

// matching asks the matchers of one bundle about one cluster.
type matching struct {
	bundle  fleet.BundleDecl
	groups  map[string]*Group
	cluster Cluster
	facts   map[string]any
}

func (m *matching) overlays() ([]int, error) {
	var out []int
	for i, overlay := range m.bundle.Matchers.Overlays {
		matched, err := m.matches(fmt.Sprintf("spec.overlays[%d]", i), overlay)
		if err != nil {
			return nil, err
		}
		if matched {
			out = append(out, i)
		}
	}
	return out, nil
}

// matches asks the cheap questions first: an expression is asked only about clusters that everything else chooses.
func (m *matching) matches(at string, matcher fleet.Matcher) (bool, error) {
	if matcher.Group != "" {
		group, known := m.groups[matcher.Group]
		if !known {
			return false, mistake(m.bundle, m.cluster, at+".clusterGroup", fmt.Errorf("there is no ClusterGroup %q", matcher.Group))
		}
		if !group.Has(m.cluster) {
			return false, nil
		}
	}
	switch {
	case matcher.Labels != nil && !matcher.Labels.Matches(labels.Set(m.cluster.Labels)),
		matcher.Properties != nil && !matcher.Properties.Matches(labels.Set(m.cluster.Properties)),
		len(matcher.Names) > 0 && !slices.ContainsFunc(matcher.Names, func(p string) bool { return fleet.NameMatches(p, m.cluster.Name) }):
		return false, nil
	case matcher.Condition == nil:
		return true, nil
	}
	if m.facts == nil {
		m.facts = facts(m.cluster)
	}
	holds, err := matcher.Condition.Holds(m.facts)
	if err != nil {
		return false, mistake(m.bundle, m.cluster, at+".expression", err)
	}
	return holds, nil
}

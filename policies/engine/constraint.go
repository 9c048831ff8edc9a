package engine

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// constraint is a Gatekeeper Constraint: a template with parameters and with what it matches.
type constraint struct {
	*template
	// manifest is the constraint as it was declared.
	manifest Manifest
	match    match
	// actions by point, where the constraint is scoped.
	actions map[string]v1alpha1.PolicyAction
}

// match is a Constraint's spec.match.
type match struct {
	Kinds []struct {
		APIGroups []string `json:"apiGroups"`
		Kinds     []string `json:"kinds"`
	} `json:"kinds"`
	Scope              string                `json:"scope"`
	Namespaces         []string              `json:"namespaces"`
	ExcludedNamespaces []string              `json:"excludedNamespaces"`
	LabelSelector      *metav1.LabelSelector `json:"labelSelector"`
	NamespaceSelector  *metav1.LabelSelector `json:"namespaceSelector"`
	Name               string                `json:"name"`
	Source             string                `json:"source"`

	byLabel, byNamespace labels.Selector
}

type constraintObject struct {
	Metadata struct{ Name string }
	Spec     struct {
		EnforcementAction        string
		ScopedEnforcementActions []struct {
			Action            string
			EnforcementPoints []struct{ Name string }
		}
		Match      match
		Parameters map[string]any
	}
}

// enforcement is what Gatekeeper's actions are here.
var enforcement = map[string]v1alpha1.PolicyAction{"": v1alpha1.PolicyDeny, "deny": v1alpha1.PolicyDeny, "warn": v1alpha1.PolicyWarn, "dryrun": v1alpha1.PolicyAudit}

// enforcementPoints are what Gatekeeper's points are here.
var enforcementPoints = map[string][]string{"*": points, "validation.gatekeeper.sh": {PointAdmission}, "audit.gatekeeper.sh": {PointAudit},
	"gator.gatekeeper.sh": {PointCommit, PointGate}, "vap.k8s.io": nil}

// constraintName is the name of a Constraint as a policy.
func constraintName(kind, name string) string { return strings.ToLower(kind) + "/" + name }

// readConstraint makes a policy of a constraint.
func readConstraint(d Manifest, t *template) (*Policy, error) {
	var o constraintObject
	data, err := decodeInto(d.Object, &o)
	if err != nil {
		return nil, refuseAt(d.Source, "spec", "cannot read the Constraint: %v", err)
	}
	c := &constraint{template: t, manifest: d, match: o.Spec.Match}
	if c.match.byLabel, err = selectorOf(o.Spec.Match.LabelSelector); err != nil {
		return nil, refuseAt(d.Source, "spec.match.labelSelector", "cannot read the selector: %v", err)
	}
	if c.match.byNamespace, err = selectorOf(o.Spec.Match.NamespaceSelector); err != nil {
		return nil, refuseAt(d.Source, "spec.match.namespaceSelector", "cannot read the selector: %v", err)
	}
	if !slices.Contains([]string{"", "*", "Cluster", "Namespaced"}, o.Spec.Match.Scope) {
		return nil, refuseAt(d.Source, "spec.match.scope", "unknown scope %q; known are *, Cluster, Namespaced", o.Spec.Match.Scope)
	}
	if !slices.Contains([]string{"", "All", "Original", "Generated"}, o.Spec.Match.Source) {
		return nil, refuseAt(d.Source, "spec.match.source", "unknown source %q; known are All, Original, Generated", o.Spec.Match.Source)
	}
	file, line := splitSource(d.Source)
	p := &Policy{Name: constraintName(t.kind, o.Metadata.Name), File: file, Line: line, paths: []string{file}, constraint: c, queries: []query{t.query}, shape: review,
		Digest: digestText("constraint", t.digest, data), Reads: Reads{Time: t.time}, Builtins: t.builtins}
	p.Metadata = Metadata{Title: t.title, Kinds: c.match.index(), Severity: "medium", Points: points, Action: v1alpha1.PolicyDeny, FailurePolicy: FailurePolicyIgnore}
	p.Metadata.Parameters, _ = defaulted(map[string]any{"parameters": orEmpty(anyMap(o.Spec.Parameters))},
		map[string]any{"properties": map[string]any{"parameters": orEmpty(anyMap(t.schema))}}).(map[string]any)["parameters"].(map[string]any)
	p.Metadata.Schema = t.schema
	if wrong := conforms(p.Metadata.Parameters, t.schema, t.loose); wrong != nil {
		return nil, refuseAt(d.Source, "spec.parameters"+wrong.field, "parameter of %s %q %s", t.kind, o.Metadata.Name, wrong.message)
	}
	if o.Spec.EnforcementAction == "scoped" {
		return p, c.scope(d, o, p)
	}
	action, known := enforcement[o.Spec.EnforcementAction]
	if !known {
		return nil, refuseAt(d.Source, "spec.enforcementAction", "unknown enforcementAction %q; known are deny, warn, dryrun, scoped", o.Spec.EnforcementAction)
	}
	p.Metadata.Action = action
	return p, nil
}

func anyMap(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}

// scope reads actions by point: the strictest of those that a point has.
func (c *constraint) scope(d Manifest, o constraintObject, p *Policy) error {
	c.actions = map[string]v1alpha1.PolicyAction{}
	p.Metadata.Points, p.Metadata.Action = nil, v1alpha1.PolicyAudit
	for _, scoped := range o.Spec.ScopedEnforcementActions {
		action, known := enforcement[scoped.Action]
		if !known {
			return refuseAt(d.Source, "spec.scopedEnforcementActions", "unknown action %q; known are deny, warn, dryrun", scoped.Action)
		}
		if strictness(action) < strictness(p.Metadata.Action) {
			p.Metadata.Action = action
		}
		for _, at := range scoped.EnforcementPoints {
			mapped, known := enforcementPoints[at.Name]
			if !known {
				return refuseAt(d.Source, "spec.scopedEnforcementActions", "unknown enforcement point %q", at.Name)
			}
			for _, point := range mapped {
				if before, twice := c.actions[point]; !twice || strictness(action) < strictness(before) {
					c.actions[point] = action
				}
			}
		}
	}
	for _, point := range points {
		if _, there := c.actions[point]; there {
			p.Metadata.Points = append(p.Metadata.Points, point)
		}
	}
	return nil
}

func strictness(a v1alpha1.PolicyAction) int { return slices.Index(actions, a) }

func selectorOf(s *metav1.LabelSelector) (labels.Selector, error) {
	if s == nil {
		return nil, nil
	}
	return metav1.LabelSelectorAsSelector(s)
}

// index is what the snapshot's index can know of the kinds; concerns decides.
func (m match) index() []string {
	var out []string
	for _, kinds := range m.Kinds {
		for _, group := range kinds.APIGroups {
			for _, kind := range kinds.Kinds {
				switch {
				case group == "*":
					out = append(out, "*")
				case group == "":
					if kind == "*" {
						kind = "*."
					}
					out = append(out, kind)
				default:
					out = append(out, kind+"."+group)
				}
			}
		}
		if len(kinds.APIGroups) == 0 || len(kinds.Kinds) == 0 {
			out = append(out, "*")
		}
	}
	return out
}

// concerns says whether the constraint is about an object. unknown is set where that depends on the labels of a namespace
// that is not at hand. Before objects are in a cluster only the label is known that every namespace has there.
func (m match) concerns(o *Object, point string) (is, unknown bool) {
	isNamespace := o.ID.Kind == "Namespace" && o.ID.Group == ""
	namespace := o.ID.Namespace
	if isNamespace {
		namespace = o.ID.Name
	}
	switch {
	case len(m.Kinds) > 0 && !m.ofKind(o.ID.Group, o.ID.Kind),
		m.Scope == "Cluster" && o.ID.Namespace != "", m.Scope == "Namespaced" && o.ID.Namespace == "",
		m.Name != "" && !globbed(m.Name, o.ID.Name) && !globbed(m.Name, o.generateName()),
		m.Source == "Generated" && !o.generated, m.Source == "Original" && o.generated,
		len(m.Namespaces) > 0 && namespace != "" && !anyGlobbed(m.Namespaces, namespace),
		namespace != "" && anyGlobbed(m.ExcludedNamespaces, namespace),
		m.byLabel != nil && !m.byLabel.Matches(o.labels(o.raw)) && (o.old == nil || !m.byLabel.Matches(o.labels(o.old))):
		return false, false
	case m.byNamespace == nil:
		return true, false
	case isNamespace:
		return m.byNamespace.Matches(o.namespaceLabels(o.raw, namespace)), false
	case namespace == "":
		return true, false
	case o.namespace == nil && point != PointGate && point != PointCommit:
		return true, true
	}
	return m.byNamespace.Matches(o.namespaceLabels(o.namespace, namespace)), false
}

func (m match) ofKind(group, kind string) bool {
	for _, kinds := range m.Kinds {
		if among(kinds.APIGroups, group) && among(kinds.Kinds, kind) {
			return true
		}
	}
	return false
}

// among says whether a list names a word; an empty list and a star name all.
func among(list []string, word string) bool {
	return len(list) == 0 || slices.Contains(list, "*") || slices.Contains(list, word)
}

func anyGlobbed(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return globbed(pattern, name) })
}

// globbed compares with a pattern that may begin and end with a star.
func globbed(pattern, name string) bool {
	before, after := strings.HasPrefix(pattern, "*"), strings.HasSuffix(pattern, "*")
	bare := strings.Trim(pattern, "*")
	switch {
	case before && after:
		return strings.Contains(name, bare)
	case before:
		return strings.HasSuffix(name, bare)
	case after:
		return strings.HasPrefix(name, bare)
	default:
		return name == pattern
	}
}

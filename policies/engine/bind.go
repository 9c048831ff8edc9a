package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// binding is a PolicyBinding that was read.
type binding struct {
	name       string
	source     string
	declared   Binding
	spec       v1alpha1.PolicyBindingSpec
	selector   labels.Selector
	narrowness int
	parameters map[string]any
}

// narrowness of a selector is the number of its requirements: each label of matchLabels and each of matchExpressions is one.
func narrowness(s metav1.LabelSelector) int { return len(s.MatchLabels) + len(s.MatchExpressions) }

// Effective is a policy's action and parameters on one cluster, and where they come from.
type Effective struct {
	Action     v1alpha1.PolicyAction
	Parameters map[string]any
	// ActionFrom and ParametersFrom say what set each.
	ActionFrom     Origin
	ParametersFrom map[string]Origin
}

// Origin is what set an action or a parameter.
type Origin struct {
	// Binding is the PolicyBinding's name; "" where the policy's own METADATA, Constraint or data says it.
	Binding string
	// Source is where that stands, as "file:line".
	Source string
}

func (s *Snapshot) loadBindings(declared []Binding, previous *Snapshot, refusals *refusalList) {
	seen := map[string]bool{}
	for _, d := range declared {
		name := d.Metadata.Name
		b, err := s.readBinding(d)
		if err == nil && seen[name] {
			err = refuseAt(d.Source, "metadata.name", "PolicyBinding %q stands twice", name)
		}
		if err == nil {
			err = s.tied(b)
		}
		if err != nil {
			refusals.add(err)
			if old := previous.bindings[name]; old != nil && !seen[name] {
				s.bindings[name] = old
			}
		} else {
			s.bindings[name] = b
		}
		seen[name] = true
	}
}

func (s *Snapshot) readBinding(d Binding) (*binding, error) {
	p := s.policies[d.Spec.Policy]
	if p == nil {
		return nil, refuseAt(d.Source, "spec.policy", "PolicyBinding %q names policy %q, which is not in force", d.Metadata.Name, d.Spec.Policy)
	}
	selector, err := metav1.LabelSelectorAsSelector(&d.Spec.ClusterSelector)
	if err != nil {
		return nil, refuseAt(d.Source, "spec.clusterSelector", "cannot read the selector of PolicyBinding %q: %v", d.Metadata.Name, err)
	}
	if d.Spec.Action != "" && !slices.Contains(actions, d.Spec.Action) {
		return nil, refuseAt(d.Source, "spec.action", "unknown action %q; known are deny, warn, audit", d.Spec.Action)
	}
	b := &binding{name: d.Metadata.Name, source: d.Source, declared: d, spec: d.Spec, selector: selector,
		narrowness: narrowness(d.Spec.ClusterSelector), parameters: map[string]any{}}
	schema := p.Metadata.Schema
	if schema == nil {
		schema = implied(p.Metadata.Parameters)
	}
	properties, _ := schema["properties"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(d.Spec.Parameters)) {
		property, described := properties[key].(map[string]any)
		if _, known := p.Metadata.Parameters[key]; !known && !described {
			return nil, refuseAt(d.Source, "spec.parameters."+key, "policy %q has no parameter %q; it has %s", p.Name, key, listOf(p.Metadata.Parameters, properties))
		}
		var value any
		if err := json.Unmarshal(d.Spec.Parameters[key].Raw, &value); err != nil {
			return nil, refuseAt(d.Source, "spec.parameters."+key, "cannot read parameter %q: %v", key, err)
		}
		if wrong := conforms(value, property, p.constraint != nil && p.constraint.loose); wrong != nil {
			return nil, refuseAt(d.Source, "spec.parameters."+key+wrong.field, "parameter %s of policy %q %s", key, p.Name, wrong.message)
		}
		b.parameters[key] = defaulted(value, property)
	}
	return b, nil
}

// listOf names that parameters have, for a person.
func listOf(parameters, properties map[string]any) string {
	all := maps.Clone(parameters)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, properties)
	if len(all) == 0 {
		return "none"
	}
	return words(all)
}

// tied finds ties that need no cluster to be seen: an earlier binding with the same selector that sets the same field.
func (s *Snapshot) tied(b *binding) error {
	for _, other := range sortedByName(s.bindings) {
		if other.spec.Policy != b.spec.Policy || other.selector.String() != b.selector.String() {
			continue
		}
		if field := b.conflict(other); field != "" {
			return refuseAt(b.source, "spec."+field, "PolicyBindings %q and %q set %s of policy %q for the same clusters", other.name, b.name, field, b.spec.Policy)
		}
	}
	return nil
}

// conflict is the first field that both set to different values.
func (b *binding) conflict(other *binding) string {
	if b.spec.Action != "" && other.spec.Action != "" && b.spec.Action != other.spec.Action {
		return "action"
	}
	for _, key := range slices.Sorted(maps.Keys(b.parameters)) {
		if value, both := other.parameters[key]; both && encode(value) != encode(b.parameters[key]) {
			return "parameters." + key
		}
	}
	return ""
}

// Effective resolves a policy's action and parameters for a cluster: METADATA, then the narrowest binding for each field.
// A tie is an error; the action returned with it is the strictest of those in question.
func (s *Snapshot) Effective(p *Policy, clusterLabels map[string]string) (Effective, error) {
	e := Effective{Action: p.Metadata.Action, Parameters: maps.Clone(p.Metadata.Parameters)}
	if e.Parameters == nil {
		e.Parameters = map[string]any{}
	}
	e.ActionFrom = Origin{Source: fmt.Sprintf("%s:%d", p.File, p.Line)}
	e.ParametersFrom = make(map[string]Origin, len(e.Parameters))
	for key := range e.Parameters {
		e.ParametersFrom[key] = e.ActionFrom
	}
	var matching []*binding
	for _, b := range s.bound[p.Name] {
		if b.selector.Matches(labels.Set(clusterLabels)) {
			matching = append(matching, b)
		}
	}
	slices.SortStableFunc(matching, func(a, b *binding) int { return a.narrowness - b.narrowness })
	var tie error
	for i, b := range matching {
		for _, other := range matching[:i] {
			if field := b.conflict(other); other.narrowness == b.narrowness && field != "" && !overruled(field, matching[i+1:], b.narrowness) {
				tie = fmt.Errorf("cannot decide %s of policy %q: PolicyBindings %q and %q match the cluster with equally narrow selectors", field, p.Name, other.name, b.name)
				if field == "action" && slices.Index(actions, other.spec.Action) < slices.Index(actions, b.spec.Action) {
					b = other
				}
			}
		}
		origin := Origin{Binding: b.name, Source: b.source}
		if b.spec.Action != "" {
			e.Action, e.ActionFrom = b.spec.Action, origin
		}
		for key, value := range b.parameters {
			e.Parameters[key], e.ParametersFrom[key] = value, origin
		}
	}
	return e, tie
}

// overruled says whether a narrower binding sets the field, so that a tie below it does not matter.
func overruled(field string, rest []*binding, than int) bool {
	return slices.ContainsFunc(rest, func(b *binding) bool {
		if b.narrowness <= than {
			return false
		}
		if field == "action" {
			return b.spec.Action != ""
		}
		_, sets := b.parameters[strings.TrimPrefix(field, "parameters.")]
		return sets
	})
}

// refuseAt refuses what stands at "file:line".
func refuseAt(source, field, format string, args ...any) refused {
	file, line := splitSource(source)
	return refuse(file, line, field, format, args...)
}

// splitSource of "file:line".
func splitSource(source string) (file string, line int) {
	file = source
	if at := strings.LastIndex(source, ":"); at >= 0 {
		if number, err := strconv.Atoi(source[at+1:]); err == nil {
			file, line = source[:at], number
		}
	}
	return file, line
}

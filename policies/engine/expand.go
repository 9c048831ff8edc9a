package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// expansion is a Gatekeeper ExpansionTemplate: what a controller would make of an object, such as the Pod of a Deployment.
// Constraints are asked about that, too.
type expansion struct {
	name     string
	digest   string
	manifest Manifest
	applyTo  []struct{ Groups, Versions, Kinds []string }
	source   []string
	made     schema.GroupVersionKind
	// action in place of the constraint's; "" leaves it.
	action v1alpha1.PolicyAction
}

// deepest is how many times what was made is expanded again, as a CronJob's Job is to a Pod.
const deepest = 8

func isExpansion(d Manifest) bool { return kindOf(d) == "ExpansionTemplate" }

func (s *Snapshot) loadExpansions(declared []Manifest, previous *Snapshot, refusals *refusalList) {
	for _, d := range declared {
		if !isExpansion(d) {
			continue
		}
		name, _ := dig(d.Object, []string{"metadata"})["name"].(string)
		e, err := readExpansion(name, d)
		if err == nil && s.expansions[name] != nil {
			err = refuseAt(d.Source, "metadata.name", "ExpansionTemplate %q stands twice", name)
		}
		switch {
		case err == nil:
			s.expansions[name] = e
		case previous.expansions[name] != nil && s.expansions[name] == nil:
			s.expansions[name] = previous.expansions[name]
			fallthrough
		default:
			refusals.add(err)
		}
	}
}

func readExpansion(name string, d Manifest) (*expansion, error) {
	var o struct {
		Spec struct {
			ApplyTo           []struct{ Groups, Versions, Kinds []string }
			TemplateSource    string
			GeneratedGVK      struct{ Group, Version, Kind string }
			EnforcementAction string
		}
	}
	text, err := decodeInto(d.Object, &o)
	if err != nil {
		return nil, refuseAt(d.Source, "spec", "cannot read the ExpansionTemplate: %v", err)
	}
	gvk, spec := o.Spec.GeneratedGVK, o.Spec
	action, known := enforcement[spec.EnforcementAction]
	switch {
	case name == "":
		return nil, refuseAt(d.Source, "metadata.name", "the ExpansionTemplate needs a name")
	case len(spec.ApplyTo) == 0:
		return nil, refuseAt(d.Source, "spec.applyTo", "ExpansionTemplate %q must say what it applies to", name)
	case spec.TemplateSource == "":
		return nil, refuseAt(d.Source, "spec.templateSource", "ExpansionTemplate %q must say where the template stands, such as spec.template", name)
	case gvk.Kind == "" || gvk.Version == "":
		return nil, refuseAt(d.Source, "spec.generatedGVK", "ExpansionTemplate %q must say the version and kind of what is made", name)
	case !known:
		return nil, refuseAt(d.Source, "spec.enforcementAction", "unknown enforcementAction %q; known are deny, warn, dryrun", spec.EnforcementAction)
	}
	if spec.EnforcementAction == "" {
		action = ""
	}
	return &expansion{name: name, digest: digestText("expansion", text), manifest: d, applyTo: spec.ApplyTo, source: strings.Split(spec.TemplateSource, "."),
		made: schema.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind}, action: action}, nil
}

// applies says whether the template is for a kind; version "" is any.
func (e *expansion) applies(group, version, kind string) bool {
	for _, to := range e.applyTo {
		if among(to.Groups, group) && (version == "" || among(to.Versions, version)) && among(to.Kinds, kind) {
			return true
		}
	}
	return false
}

// implied is an object that was made of another, or why it could not be made.
type impliedObject struct {
	*Object
	by *expansion
	// made is the kind, also where there is no object.
	made    schema.GroupVersionKind
	problem error
	digest  string
}

// expand gives all that would be made of an object.
func (s *Snapshot) expand(o *Object, digest string) []impliedObject {
	return s.expandTo(nil, o, digest, 0)
}

func (s *Snapshot) expandTo(all []impliedObject, o *Object, digest string, depth int) []impliedObject {
	if depth == deepest {
		return all
	}
	for _, e := range sortedByName(s.expansions) {
		if !e.applies(o.ID.Group, o.version(), o.ID.Kind) {
			continue
		}
		next := impliedObject{by: e, made: e.made, digest: digest}
		if digest != "" {
			next.digest = digest + " " + e.digest
		}
		next.Object, next.problem = e.make(o)
		if all = append(all, next); next.problem == nil {
			all = s.expandTo(all, next.Object, next.digest, depth+1)
		}
	}
	return all
}

// make what the template says of an object, in its namespace.
func (e *expansion) make(of *Object) (*Object, error) {
	made := maps.Clone(dig(of.raw, e.source))
	if made == nil {
		return nil, fmt.Errorf("ExpansionTemplate %q: %s has no %s", e.name, of.ID, strings.Join(e.source, "."))
	}
	version, _ := of.raw["apiVersion"].(string)
	metadata := maps.Clone(dig(made, []string{"metadata"}))
	if metadata == nil {
		metadata = map[string]any{}
	}
	metadata["name"] = strings.ToLower(of.ID.Name + "-" + e.made.Kind)
	if of.ID.Namespace != "" {
		metadata["namespace"] = of.ID.Namespace
	}
	metadata["ownerReferences"] = []any{map[string]any{"apiVersion": version, "kind": of.ID.Kind, "name": of.ID.Name}}
	made["apiVersion"], made["kind"], made["metadata"] = e.made.GroupVersion().String(), e.made.Kind, metadata
	o, err := Prepare(made, of.ID.Namespace)
	if err != nil {
		return nil, fmt.Errorf("ExpansionTemplate %q: %w", e.name, err)
	}
	o.namespace, o.generated, o.operation, o.user, o.inventory, o.secrets = of.namespace, true, of.operation, of.user, of.inventory, of.secrets
	return o, nil
}

// implies turns findings on what was made into findings on the object that it is made of, in Gatekeeper's words.
func (e *expansion) implies(findings []Finding) []Finding {
	out := slices.Clone(findings)
	for i := range out {
		out[i].Message = fmt.Sprintf("[Implied by %s] %s", e.name, out[i].Message)
		if e.action != "" && (out[i].Result == ResultFail || out[i].Result == ResultWarn) {
			out[i].Action, out[i].Result = e.action, ResultFail
			if e.action == v1alpha1.PolicyWarn {
				out[i].Result = ResultWarn
			}
		}
	}
	return out
}

// madeOf are the kinds that may come of a kind by expansion, itself among them.
func (s *Snapshot) madeOf(kind schema.GroupKind) []schema.GroupKind {
	all := []schema.GroupKind{kind}
	for i := 0; i < len(all); i++ {
		for _, e := range sortedByName(s.expansions) {
			if made := e.made.GroupKind(); e.applies(all[i].Group, "", all[i].Kind) && !slices.Contains(all, made) {
				all = append(all, made)
			}
		}
	}
	return all
}

// expandable adds to kinds those that others of them are made of.
func (s *Snapshot) expandable(kinds map[schema.GroupKind]bool, all bool) {
	for before := -1; before != len(kinds); {
		before = len(kinds)
		for _, e := range s.expansions {
			if !all && !kinds[e.made.GroupKind()] && !kinds[schema.GroupKind{Group: e.made.Group, Kind: "*"}] {
				continue
			}
			for _, to := range e.applyTo {
				for _, group := range to.Groups {
					for _, kind := range to.Kinds {
						kinds[schema.GroupKind{Group: group, Kind: kind}] = true
					}
				}
			}
		}
	}
}

// expansionText is all that verdicts depend on of expansions.
func (s *Snapshot) expansionText() string {
	if s == nil {
		return ""
	}
	out := ""
	for _, e := range sortedByName(s.expansions) {
		out += e.digest + " "
	}
	return out
}

package engine

import (
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// shape is how a policy reads its input.
type shape int

const (
	// native policies have METADATA with custom.input: periplus.
	native shape = iota
	// conftest packages read the bare object as input, and parameters as data.
	conftest
	// review is Gatekeeper's.
	review
)

// conftestRule is the form of the rules that conftest asks.
var conftestRule = regexp.MustCompile(`^(deny|violation|warn)(_[a-zA-Z0-9]+)*$`)

// exceptionRule lists names of rules that do not apply to an object.
const exceptionRule = "exception"

// warns says whether a rule never denies.
func warns(rule string) bool { return rule == "warn" || strings.HasPrefix(rule, "warn_") }

// exceptionNames are the names by which an exception lifts a rule: what follows the first word; the rule of that word alone
// goes by the empty name, or by its own, as in older versions of conftest.
func exceptionNames(rule string) []string {
	if _, after, suffixed := strings.Cut(rule, "_"); suffixed {
		return []string{after}
	}
	return []string{"", rule}
}

// fleetFields are fields of input that only this engine's policies have: a package without METADATA that reads them was meant
// as one, or was taken out of a ConstraintTemplate, and would never fire as conftest's.
var fleetFields = map[string]string{
	"object": "a policy does: put \"# METADATA\" with custom.input: periplus right before the package", "containers": "", "pod": "", "cluster": "",
	"review": "Gatekeeper's do: put it into a ConstraintTemplate",
}

// hasRules says whether a package has rules that are asked.
func hasRules(own []*module) bool {
	return slices.ContainsFunc(own, func(m *module) bool {
		return slices.ContainsFunc(m.parsed.Rules, func(r *ast.Rule) bool { return len(r.Head.Args) == 0 && conftestRule.MatchString(ruleName(r)) })
	})
}

// isHelper says whether a package only serves others: it has neither METADATA of a policy nor rules that are asked.
func isHelper(own []*module) bool {
	return !hasRules(own) && !slices.ContainsFunc(own, func(m *module) bool { return packageMetadata(m) != nil && len(packageMetadata(m).Custom) > 0 })
}

// isConftest says whether a package is conftest's: it says so, or says nothing.
func isConftest(own []*module) bool {
	for _, m := range own {
		if a := packageMetadata(m); a != nil && len(a.Custom) > 0 {
			return a.Custom["input"] == "conftest"
		}
	}
	return hasRules(own)
}

func packageMetadata(m *module) *ast.Annotations {
	for _, a := range m.parsed.Annotations {
		if a.Scope == "package" {
			return a
		}
	}
	return nil
}

func ruleName(r *ast.Rule) string {
	name, _ := r.Head.Ref()[0].Value.(ast.Var)
	return string(name)
}

// describeConftest finds the rules that are asked.
func (p *Policy) describeConftest(own []*module) error {
	p.shape = conftest
	for _, m := range own {
		if p.File == "" {
			p.File, p.Line = m.Path, m.parsed.Package.Location.Row
		}
		if err := p.notFleets(m); err != nil {
			return err
		}
		for _, rule := range m.parsed.Rules {
			name := ruleName(rule)
			if len(rule.Head.Args) > 0 || name != exceptionRule && !conftestRule.MatchString(name) {
				continue
			}
			if unlisted(rule) {
				return refuse(m.Path, rule.Location.Row, name, "%s must be a set of messages: %s contains msg if {...}, or %s[msg] {...}", name, name, name)
			}
			if p.rules[name] == nil {
				p.rules[name] = rule.Location
			}
		}
	}
	return nil
}

// unlisted says whether a rule gives something that can be no list of messages, which conftest would pass over.
func unlisted(rule *ast.Rule) bool {
	if len(rule.Head.Ref()) != 1 || rule.Default {
		return true
	}
	if rule.Head.RuleKind() == ast.MultiValue {
		return false
	}
	switch rule.Head.Value.Value.(type) {
	case ast.Boolean, ast.Number, ast.String, ast.Object, ast.Null:
		return true
	}
	return false
}

// notFleets refuses what was meant for another reader, where nothing says that it is conftest's.
func (p *Policy) notFleets(m *module) error {
	if p.declared {
		return nil
	}
	var problem error
	ast.WalkRefs(m.parsed, func(ref ast.Ref) bool {
		if field, known := constant(ref, 1); known && ref.HasPrefix(ast.InputRootRef) && problem == nil {
			advice, fleets := fleetFields[field]
			if !fleets {
				return false
			}
			if advice == "" {
				advice = fleetFields["object"]
			}
			problem = refuse(m.Path, ref[0].Location.Row, "", "package %s has no METADATA, and reads input.%s as %s", p.Name, field, advice)
		}
		return false
	})
	return problem
}

// excepted says whether exceptions name a rule.
func excepted(exceptions *ast.Term, rule string) bool {
	if exceptions == nil {
		return false
	}
	for _, list := range listed(exceptions) {
		for _, name := range listed(list) {
			if text, is := name.Value.(ast.String); is && slices.Contains(exceptionNames(rule), string(text)) {
				return true
			}
		}
	}
	return false
}

// listed are the entries of a set or an array, nil of anything else.
func listed(t *ast.Term) []*ast.Term {
	switch typed := t.Value.(type) {
	case ast.Set:
		return typed.Slice()
	case *ast.Array:
		entries := make([]*ast.Term, 0, typed.Len())
		typed.Foreach(func(entry *ast.Term) { entries = append(entries, entry) })
		return entries
	}
	return nil
}

func isList(t *ast.Term) bool {
	if t == nil {
		return false
	}
	switch t.Value.(type) {
	case ast.Set, *ast.Array:
		return true
	}
	return false
}

package engine

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestConforms(t *testing.T) {
	cases := map[string]struct {
		reason, schema, value, field, message string
		loose                                 bool
	}{
		"NoSchema":      {"", "{}", "{a: 1}", "", "", false},
		"Type":          {"", "{type: string}", "[1]", "", "must be a string, not an array", false},
		"Integer":       {"a number without a fraction is one", "{type: integer}", "2.0", "", "", false},
		"Fraction":      {"", "{type: integer}", "2.5", "", "must be an integer, not a number", false},
		"NumberTakes":   {"", "{type: number}", "2", "", "", false},
		"IntOrString":   {"", "{x-kubernetes-int-or-string: true, type: object}", "'5%'", "", "", false},
		"Null":          {"", "{type: string}", "null", "", "must be a string, not null", false},
		"Nullable":      {"", "{type: string, nullable: true}", "null", "", "", false},
		"Enum":          {"", "{type: string, enum: [a, b]}", "c", "", `must be one of ["a","b"]`, false},
		"Items":         {"the place is named", "{type: object, properties: {repos: {type: array, items: {type: string}}}}", "{repos: [a, 1]}", ".repos[1]", "must be a string, not an integer", false},
		"Required":      {"", "{type: object, required: [a], properties: {a: {}}}", "{}", ".a", "is required", false},
		"Unknown":       {"a mistyped field would have no effect", "{type: object, properties: {repos: {}, tags: {}}}", "{repo: [a]}", ".repo", "is not known; known are repos, tags", false},
		"UnknownLegacy": {"schemas before v1 are open", "{type: object, properties: {repos: {}}}", "{repo: [a]}", "", "", true},
		"Open":          {"", "{type: object, x-kubernetes-preserve-unknown-fields: true, properties: {repos: {}}}", "{repo: [a]}", "", "", false},
		"More":          {"", "{type: object, additionalProperties: {type: string}}", "{a: b, c: 1}", ".c", "must be a string, not an integer", false},
		"Pattern":       {"", "{type: string, pattern: '^a'}", "b", "", `must match "^a"`, false},
		"Least":         {"", "{type: integer, minimum: 2}", "1", "", "must be at least 2", false},
		"Exclusive":     {"", "{type: integer, maximum: 2, exclusiveMaximum: true}", "2", "", "must be at most 2", false},
		"Items2":        {"", "{type: array, minItems: 1}", "[]", "", "must be at least 1 items", false},
		"AnyOf":         {"", "{anyOf: [{type: string}, {type: integer}]}", "[]", "", "must match a schema of anyOf", false},
		"Not":           {"", "{not: {type: string}}", "a", "", "must not match", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var schema map[string]any
			var value any
			for text, into := range map[string]any{c.schema: &schema, c.value: &value} {
				if err := yaml.Unmarshal([]byte(text), into); err != nil {
					t.Fatal(err)
				}
			}
			wrong := conforms(value, schema, c.loose)
			if wrong == nil {
				wrong = &schemaError{}
			}
			if wrong.field != c.field || !strings.Contains(wrong.message, c.message) || c.message == "" && wrong.message != "" {
				t.Errorf("%s: want %q %q, got %q %q", c.reason, c.field, c.message, wrong.field, wrong.message)
			}
		})
	}
}

func TestParametersAreChecked(t *testing.T) {
	template := func(version string) Manifest {
		m := ownerTemplate(t, violates)
		m.Object["apiVersion"] = "templates.gatekeeper.sh/" + version
		nested(nested(nested(nested(m.Object, "spec"), "crd"), "spec"), "validation")["openAPIV3Schema"] = map[string]any{
			"type": "object", "properties": map[string]any{"teams": map[string]any{"type": "array", "items": map[string]any{"type": "string"}}}}
		return m
	}
	p := policy("p", always, "parameters: {teams: [a], least: 1}")
	withSchema := policy("p", always, "parameters: {least: 1}", "schema: {type: object, properties: {least: {type: integer, minimum: 1}, most: {type: integer, default: 9}}}")
	cases := map[string]struct {
		reason string
		source Source
		field  string
		want   string
	}{
		"Constraint": {"", Source{Gatekeeper: []Manifest{template("v1"), ownerConstraint(t, "{parameters: {teams: [1]}}")}}, "spec.parameters.teams[0]", "must be a string, not an integer"},
		"Mistyped":   {"", Source{Gatekeeper: []Manifest{template("v1"), ownerConstraint(t, "{parameters: {team: [a]}}")}}, "spec.parameters.team", "is not known; known are teams"},
		"Legacy":     {"", Source{Gatekeeper: []Manifest{template("v1beta1"), ownerConstraint(t, "{parameters: {team: [a]}}")}}, "", ""},
		"Implied":    {"a value is of its default's kind", Source{Modules: []File{p}, Bindings: []Binding{bind("b", "p", nil, "", map[string]string{"teams": `"a"`})}}, "spec.parameters.teams", "must be an array, not a string"},
		"Number":     {"", Source{Modules: []File{p}, Bindings: []Binding{bind("b", "p", nil, "", map[string]string{"least": `1.5`})}}, "", ""},
		"Schema":     {"", Source{Modules: []File{withSchema}, Bindings: []Binding{bind("b", "p", nil, "", map[string]string{"least": `0`})}}, "spec.parameters.least", "must be at least 1"},
		"SchemaOnly": {"a parameter need not have a default", Source{Modules: []File{withSchema}, Bindings: []Binding{bind("b", "p", nil, "", map[string]string{"most": `3`})}}, "", ""},
		"Default": {"", Source{Modules: []File{policy("p", always, "parameters: {least: x}", "schema: {properties: {least: {type: integer}}}")}}, "custom.parameters",
			"custom.parameters.least must be an integer"},
		"OfConstraint": {"the template's schema names what a binding may set", Source{Gatekeeper: []Manifest{template("v1"), ownerConstraint(t, "{}")},
			Bindings: []Binding{bind("b", "owner/all", nil, "", map[string]string{"teams": `["a"]`})}}, "", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, refusals := Load(c.source, nil)
			switch {
			case c.want == "" && len(refusals) > 0:
				t.Errorf("%s: refused: %+v", c.reason, refusals)
			case c.want != "" && (len(refusals) != 1 || refusals[0].Field != c.field || refusals[0].File == "" || refusals[0].Line == 0 || !strings.Contains(refusals[0].Message, c.want)):
				t.Errorf("%s: want %s: %q, got %+v", c.reason, c.field, c.want, refusals)
			}
		})
	}
}

func TestEffectiveSaysWhere(t *testing.T) {
	s := load(t, Source{Modules: []File{policy("p", always, "parameters: {a: 1, b: 1, c: 1}")}, Bindings: []Binding{
		bind("wide", "p", nil, "warn", map[string]string{"a": "2", "b": "2"}), bind("narrow", "p", map[string]string{"env": "prod"}, "", map[string]string{"b": "3"})}})
	e, err := s.Effective(s.policies["p"], map[string]string{"env": "prod"})
	if err != nil {
		t.Fatal(err)
	}
	own := Origin{Source: "policies/p.rego:5"}
	wide, narrow := Origin{"wide", "policies/bindings.yaml:7"}, Origin{"narrow", "policies/bindings.yaml:7"}
	if diff := cmp.Diff(Effective{Action: "warn", Parameters: map[string]any{"a": 2.0, "b": 3.0, "c": 1.0}, ActionFrom: wide,
		ParametersFrom: map[string]Origin{"a": wide, "b": narrow, "c": own}}, e); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

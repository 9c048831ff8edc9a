package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// said of an object, one finding a line: action, result, rule, message.
func said(t *testing.T, s *Snapshot, o map[string]any, labels map[string]string, point string) string {
	t.Helper()
	findings, err := s.Review(context.Background(), Input{Object: o, Cluster: Cluster{Labels: labels}}, "", point, now)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range findings {
		text := fmt.Sprintf("%s %s %s: %s", f.Action, f.Result, f.Rule, f.Message)
		if f.Exemption != "" {
			text += " (" + f.Exemption + ")"
		}
		out = append(out, text)
	}
	return strings.Join(out, "\n")
}

func TestConftest(t *testing.T) {
	deployment := object("apps/v1", "Deployment", "web", map[string]any{"spec": map[string]any{"replicas": int64(1)}})
	file := func(path, text string) File { return File{Path: "policies/" + path, Text: text} }
	ports := file("data/services.yaml", "services:\n  ports: [22, 1]\n")
	cases := map[string]struct {
		reason string
		files  []File
		want   string
	}{
		"V0": {"the language of most conftest packages", []File{file("a.rego", "package main\n\ndeny[msg] {\n  input.kind == \"Deployment\"\n  name = input.metadata.name\n  msg = sprintf(\"%s: no\", [name])\n}\n")},
			"deny fail deny: web: no"},
		"V1":       {"", []File{file("a.rego", "package main\n\nimport rego.v1\n\ndeny contains \"no\" if input.spec.replicas < 2\n")}, "deny fail deny: no"},
		"Unstrict": {"conftest compiles leniently", []File{file("a.rego", "package main\n\nimport data.lib.unused\n\ndeny[\"no\"] { x := 1; input.kind }\n"), file("b.rego", "package lib.unused\n\na = 1\n")}, "deny fail deny: no"},
		"Suffixes": {"", []File{file("a.rego", "package main\n\ndeny_a[\"1\"] { true }\n\nviolation_b_2[{\"msg\": \"2\", \"details\": {}}] { true }\n\nviolation[{\"msg\": \"3\"}] { true }\n\nwarn[\"4\"] { true }\n\nwarn_c[\"5\"] { true }\n")},
			"deny fail deny_a: 1\ndeny fail violation: 3\ndeny fail violation_b_2: 2\nwarn warn warn: 4\nwarn warn warn_c: 5"},
		"Denying":   {"a longer word is another rule", []File{file("a.rego", "package main\n\ndenying[\"1\"] { true }\n\ndeny_f(x) { x }\n\nwarn[\"2\"] { deny_f(true) }\n")}, "warn warn warn: 2"},
		"Namespace": {"any package is in force, under its name", []File{file("a.rego", "package a.b\n\ndeny[\"1\"] { true }\n"), file("b.rego", "package main\n\ndeny[\"2\"] { true }\n")}, "deny fail deny: 1\ndeny fail deny: 2"},
		"Helper": {"a package without rules of its own serves others", []File{file("a.rego", "package main\n\nimport data.kubernetes\n\ndeny[\"no\"] { kubernetes.is_deployment }\n"),
			file("b.rego", "package kubernetes\n\nis_deployment { input.kind == \"Deployment\" }\n")}, "deny fail deny: no"},
		"OtherPackage": {"conftest compiles all together", []File{file("a.rego", "package main\n\nimport data.other\n\ndeny[msg] { msg = other.deny[_] }\n"), file("b.rego", "package other\n\nwarn[\"w\"] { true }\n\ndeny[\"no\"] { true }\n")},
			"deny fail deny: no\ndeny fail deny: no\nwarn warn warn: w"},
		"SubPackage": {"a package below is another's files", []File{file("a.rego", "package main\n\ndeny[msg] { msg = data.main.texts.no }\n"), file("b.rego", "package main.texts\n\nno = \"no\"\n")}, "deny fail deny: no"},
		"TwoFiles":   {"one package, both versions of the language", []File{file("a.rego", "package main\n\nname = input.metadata.name\n\ndeny[name] { true }\n"), file("b.rego", "package main\n\nwarn contains name if true\n")}, "deny fail deny: web\nwarn warn warn: web"},
		"List":       {"a complete rule that is a list", []File{file("a.rego", "package main\n\ndeny = [m | m := [\"no\"][_]] { input.kind == \"Deployment\" }\n\nwarn = [\"x\"] { input.kind == \"Pod\" }\n")}, "deny fail deny: no"},
		"Exception": {"what follows the first word names the rule", []File{file("a.rego", "package main\n\ndeny_root[\"no\"] { true }\n\ndeny_other[\"no\"] { true }\n\nexception[rules] {\n  input.metadata.name == \"web\"\n  rules = [\"root\"]\n}\n")},
			"deny fail deny_other: no\ndeny skip deny_root: no (exception at policies/a.rego:7)"},
		"ExceptionOfPlain": {"the empty name is that of plain rules", []File{file("a.rego", "package main\n\ndeny[\"no\"] { true }\n\nexception[[\"\"]] { true }\n")}, "deny skip deny: no (exception at policies/a.rego:5)"},
		"ExceptionOfOther": {"", []File{file("a.rego", "package main\n\ndeny[\"no\"] { true }\n\nexception[[\"\"]] { input.kind == \"Pod\" }\n")}, "deny fail deny: no"},
		"Data":             {"as with conftest --data", []File{ports, file("a.rego", "package main\n\nimport data.services\n\ndeny[sprintf(\"%v\", [services.ports])] { services.ports[_] == input.spec.replicas }\n")}, "deny fail deny: [22, 1]"},
		"DataBelow":        {"folders nest", []File{file("data/a/x.json", `{"b": 1}`), file("a.rego", "package main\n\ndeny[sprintf(\"%v\", [data.a.b])] { true }\n")}, "deny fail deny: 1"},
		"Declared":         {"METADATA narrows", []File{file("a.rego", "# METADATA\n# custom:\n#   input: conftest\n#   kinds: [Pod]\npackage main\n\ndeny[\"no\"] { true }\n")}, ""},
		"Title":            {"METADATA without custom says nothing of the input", []File{file("a.rego", "# METADATA\n# title: t\npackage main\n\ndeny contains \"no\" if input.kind\n")}, "deny fail deny: no"},
		"Number":           {"what is no message must not pass", []File{file("a.rego", "package main\n\ndeny[1] { true }\n")}, `deny error deny: policy "main": deny holds something that is neither a message nor an object with msg`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := said(t, load(t, Source{Modules: c.files}), deployment, nil, PointGate); got != c.want {
				t.Errorf("%s: want\n%s\ngot\n%s", c.reason, c.want, got)
			}
		})
	}
}

func TestConftestRefuses(t *testing.T) {
	cases := map[string]struct {
		reason, text, want string
		line               int32
	}{
		"Boolean":    {"conftest would let it pass whatever it says", "package main\n\ndeny { input.kind == \"Pod\" }\n", "deny must be a set of messages", 3},
		"Text":       {"", "package main\n\ndeny = \"no\" { input.kind == \"Pod\" }\n", "deny must be a set of messages", 3},
		"Data":       {"a document that nobody has would silently be undefined", "package main\n\ndeny[\"x\"] { data.services.ports[_] == 1 }\n", "data.services.ports[_] is in no package, and in no file of a folder named data", 3},
		"Review":     {"Rego of a template", "package main\n\nviolation[{\"msg\": \"x\"}] { input.review.object }\n", "put it into a ConstraintTemplate", 3},
		"Fleet":      {"a policy whose METADATA was forgotten would never fire", "package main\n\ndeny contains \"x\" if {\n\tinput.object.spec\n}\n", "put \"# METADATA\"", 4},
		"Network":    {"", "package main\n\ndeny[\"x\"] { http.send({}) }\n", "http.send", 3},
		"Unparsable": {"what is neither v1 nor v0 is told as v1", "package main\n\ndeny[ {\n", "rego_parse_error", 4},
		"Native":     {"policies with METADATA are v1", "# METADATA\n# custom:\n#   input: periplus\npackage main\n\ndeny[\"x\"] { true }\n", "rego_parse_error", 6},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, refusals := Load(Source{Modules: []File{{"policies/a.rego", c.text}}}, nil)
			if len(refusals) != 1 || refusals[0].Line != c.line || !strings.Contains(refusals[0].Message, c.want) {
				t.Errorf("%s: want line %d, %q; got %+v", c.reason, c.line, c.want, refusals)
			}
		})
	}
}

func TestConftestData(t *testing.T) {
	rule := File{"policies/a.rego", "package main\n\ndeny[sprintf(\"%v\", [data.least])] { input.spec.replicas < data.least }\n"}
	document := func(text string) File { return File{"policies/data/a.yaml", text} }
	o := object("apps/v1", "Deployment", "web", map[string]any{"spec": map[string]any{"replicas": int64(1)}})
	s := load(t, Source{Modules: []File{rule, document("least: 2\nother: 1\n")}, Bindings: []Binding{
		bind("b", "main", map[string]string{"env": "dev"}, "warn", map[string]string{"least": "1"}), bind("c", "main", map[string]string{"env": "prod"}, "", map[string]string{"least": "3"})}})
	for env, want := range map[string]string{"": "deny fail deny: 2", "dev": "", "prod": "deny fail deny: 3"} {
		if got := said(t, s, o, map[string]string{"env": env}, PointGate); got != want {
			t.Errorf("env %q: a binding sets data, want %q, got %q", env, want, got)
		}
	}
	if got := s.policies["main"].Metadata.Parameters; len(got) != 1 {
		t.Errorf("only what it reads is its parameter, got %v", got)
	}
	if again, _ := Load(Source{Modules: []File{rule, document("least: 2\nother: 2\n")}}, s); again.policies["main"] != s.policies["main"] {
		t.Error("data that it does not read must not touch it")
	}
	changed, _ := Load(Source{Modules: []File{rule, document("least: 5\n")}}, s)
	if got := said(t, changed, o, nil, PointGate); got != "deny fail deny: 5" {
		t.Errorf("changed data must count, got %q", got)
	}
	if parts := s.For(Cluster{}, now, PointGate); len(parts.Modules) != 2 || parts.Modules[1].Path != "policies/data/a.yaml" {
		t.Errorf("who gets the policy needs its data, got %+v", parts.Modules)
	}
	broken, refusals := Load(Source{Modules: []File{rule, document("least: [\n")}}, s)
	if len(refusals) != 2 || refusals[0].File != "policies/a.rego" || broken.policies["main"] == nil || broken.policies["main"].Frozen == "" {
		t.Errorf("data that cannot be read must freeze its readers, got %+v", refusals)
	}
	_, refusals = Load(Source{Modules: []File{document("a: {b: 1}\n"), {"policies/data/z.yaml", "a: {b: 2}\n"}}}, nil)
	if len(refusals) != 1 || !strings.Contains(refusals[0].Message, "data.a.b stands in two files") {
		t.Errorf("want a conflict, got %+v", refusals)
	}
}

func TestConftestIsAskedWhereFilesAre(t *testing.T) {
	s := load(t, Source{Modules: []File{{"policies/a.rego", "package main\n\ndeny[\"no\"] { true }\n"}}})
	for point, want := range map[string]string{PointCommit: "deny fail deny: no", PointGate: "deny fail deny: no", PointAdmission: "", PointAudit: ""} {
		if got := said(t, s, object("v1", "ConfigMap", "c", nil), nil, point); got != want {
			t.Errorf("%s: want %q, got %q", point, want, got)
		}
	}
	if got := said(t, s, object("fleet.periplus.dev/v1alpha1", "FleetCluster", "c", nil), nil, PointGate); got != "" {
		t.Errorf("what the fleet declares for itself is no file of conftest's, got %q", got)
	}
}

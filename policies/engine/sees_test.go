package engine_test

import (
	"testing"
	"time"

	"github.com/periplus-fleet/periplus/policies/engine"
)

func TestSees(t *testing.T) {
	module := "# METADATA\n# custom:\n#   input: periplus\n#   kinds: [ConfigMap]\n#   parameters: {x: 1}\npackage p\n\n"
	load := func(rule string) *engine.Snapshot {
		s, refused := engine.Load(engine.Source{Modules: []engine.File{{Path: "policies/p.rego", Text: module + rule + "\n"}}}, nil)
		if len(refused) > 0 {
			t.Fatal(refused)
		}
		return s
	}
	prod := engine.Cluster{Name: "a", Labels: map[string]string{"env": "prod", "zone": "1"}}
	dev := engine.Cluster{Name: "a", Labels: map[string]string{"env": "dev", "zone": "1"}}
	moved := engine.Cluster{Name: "a", Labels: map[string]string{"env": "prod", "zone": "2"}}
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	cases := map[string]struct {
		reason, rule string
		first        engine.Cluster
		second       engine.Cluster
		later        time.Duration
		same         bool
	}{
		"Unread":  {reason: "A label that no policy reads changes nothing.", rule: `deny contains "x" if input.cluster.labels.env == "dev"`, first: prod, second: moved, same: true},
		"Read":    {reason: "One that is read does.", rule: `deny contains "x" if input.cluster.labels.env == "dev"`, first: prod, second: dev},
		"Clock":   {reason: "A policy that reads the clock is asked each hour.", rule: `deny contains "x" if time.now_ns() > 1`, first: prod, second: prod, later: time.Hour},
		"NoClock": {reason: "Others are not.", rule: `deny contains "x" if input.name == "x"`, first: prod, second: dev, later: time.Hour, same: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := load(tc.rule)
			first, err := s.Sees(tc.first, noon)
			if err != nil {
				t.Fatal(err)
			}
			second, err := s.Sees(tc.second, noon.Add(tc.later))
			if err != nil {
				t.Fatal(err)
			}
			if (first == second) != tc.same {
				t.Error(tc.reason)
			}
		})
	}
	if _, err := (*engine.Snapshot)(nil).Sees(prod, noon); err != nil {
		t.Errorf("no policies see nothing: %v", err)
	}
}

func TestSince(t *testing.T) {
	module := func(name, kinds, rule string) engine.File {
		return engine.File{Path: "policies/" + name + ".rego", Text: "# METADATA\n# custom:\n#   input: periplus\n#   kinds: [" + kinds + "]\npackage " +
			name + "\n\ndeny contains \"" + rule + "\" if input.object\n"}
	}
	load := func(source engine.Source) *engine.Snapshot {
		s, refused := engine.Load(source, nil)
		if len(refused) > 0 {
			t.Fatal(refused)
		}
		return s
	}
	binding := engine.Binding{Source: "policies/b.yaml:1"}
	binding.Metadata.Name, binding.Spec.Policy, binding.Spec.Action = "b", "q", "audit"
	p, q := module("p", "ConfigMap", "x"), module("q", "Deployment.apps", "x")
	cases := map[string]struct {
		reason              string
		before, after       *engine.Snapshot
		configMap, workload bool
	}{
		"Same":    {"Nothing changed.", load(engine.Source{Modules: []engine.File{p, q}}), load(engine.Source{Modules: []engine.File{q, p}}), false, false},
		"Text":    {"One policy's text concerns its kinds.", load(engine.Source{Modules: []engine.File{p, q}}), load(engine.Source{Modules: []engine.File{module("p", "ConfigMap", "y"), q}}), true, false},
		"Gone":    {"As does its end.", load(engine.Source{Modules: []engine.File{p, q}}), load(engine.Source{Modules: []engine.File{p}}), false, true},
		"First":   {"And its begin.", nil, load(engine.Source{Modules: []engine.File{p}}), true, false},
		"Kinds":   {"The kinds that it had and has count.", load(engine.Source{Modules: []engine.File{p}}), load(engine.Source{Modules: []engine.File{module("p", "Deployment.apps", "x")}}), true, true},
		"Binding": {"A binding concerns its policy.", load(engine.Source{Modules: []engine.File{p, q}}), load(engine.Source{Modules: []engine.File{p, q}, Bindings: []engine.Binding{binding}}), false, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			touches := tc.after.Since(tc.before)
			if touches("", "ConfigMap") != tc.configMap || touches("apps", "Deployment") != tc.workload {
				t.Errorf("%s: ConfigMap %t, Deployment %t", tc.reason, touches("", "ConfigMap"), touches("apps", "Deployment"))
			}
		})
	}
}

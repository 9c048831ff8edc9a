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

package agent

import (
	"testing"
	"time"

	"github.com/periplus-fleet/periplus/agent/admission"
	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// A controller that asks for what is denied again and again is told of once in a while.
func TestDecisionsAreToldOnce(t *testing.T) {
	d := &decided{}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	one := func(name, user string) []admission.Result {
		return []admission.Result{{Finding: engine.Finding{Policy: "p", Message: "no"}, Object: content.ObjectID{Kind: "Pod", Name: name}, User: user}}
	}
	for _, step := range []struct {
		reason     string
		after      time.Duration
		name, user string
		told       int
	}{
		{"the first is told", 0, "a", "rs", 1},
		{"the same is not", time.Second, "a", "rs", 0},
		{"another object is", 0, "b", "rs", 1},
		{"another user is", 0, "a", "jane", 1},
		{"the same is told after a while", decidedAge, "a", "rs", 1},
	} {
		now = now.Add(step.after)
		if got := len(d.fresh(one(step.name, step.user), now)); got != step.told {
			t.Errorf("%s: told %d, want %d", step.reason, got, step.told)
		}
	}
}

func TestPolicyConfigIsChecked(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		config PolicyConfig
		ok     bool
	}{
		"Agent":     {"nothing is needed", PolicyConfig{Role: roleAgent}, true},
		"Role":      {"a part that is none is refused", PolicyConfig{Role: "hub"}, false},
		"Admission": {"who only answers needs an address", PolicyConfig{Role: roleAdmission}, false},
		"URL":       {"API servers speak https alone", PolicyConfig{Role: roleAgent, URL: "http://a:1"}, false},
		"Good":      {"a URL without path", PolicyConfig{Role: roleAdmission, Address: ":1", URL: "https://a:1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.config.check(); (err == nil) != tc.ok {
				t.Errorf("%s: got %v", tc.reason, err)
			}
		})
	}
}

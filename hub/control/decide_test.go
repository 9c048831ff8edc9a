package control

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/rollout"
	"github.com/periplus-fleet/periplus/hub/store"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestDecide(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	old, next := delivery.Assignment{Revision: "sha256:old"}, delivery.Assignment{Revision: "sha256:new"}
	key := pair{"u", "fleet/a"}
	running := delivery.Delivery{ClusterUID: "u", Bundle: "fleet/a", Target: old, Assigned: old}
	held := running
	held.Target, held.Reason, held.Message = next, rollout.ReasonHeld, "no"
	leaving := running
	leaving.Tombstone = &delivery.Tombstone{}
	cases := map[string]struct {
		reason     string
		result     outcome
		current    delivery.Delivery
		relearning bool
		suspend    *v1alpha1.Suspend
		want       seen
	}{
		"Unchanged": {"an unchanged pair is no write", outcome{target: old}, running, false, nil, seen{Nothing: true}},
		"Changed":   {"a new target is assigned", outcome{target: next}, running, false, nil, seen{Target: "sha256:new", Assigned: "sha256:new", Events: []string{"Assigned"}}},
		"First":     {"as is the first", outcome{target: next}, delivery.Delivery{}, false, nil, seen{Target: "sha256:new", Assigned: "sha256:new", Events: []string{"Assigned"}}},
		"Denied": {"a denied target is noted and held", outcome{target: next, denied: "no"}, running, false, nil,
			seen{Target: "sha256:new", Reason: "Held", Events: []string{"Held"}}},
		"StillDenied": {"and said once", outcome{target: next, denied: "no"}, held, false, nil, seen{Nothing: true}},
		"Released":    {"until it is allowed", outcome{target: next}, held, false, nil, seen{Assigned: "sha256:new", Events: []string{"Assigned", "Released"}}},
		"RenderFailed": {"a failed render leaves what runs", outcome{reason: rollout.ReasonRenderFailed, message: "a.yaml:3"}, running, false, nil,
			seen{Reason: "RenderFailed", Events: []string{"RenderFailed"}}},
		"Relearning": {"a relearning cluster keeps what it has", outcome{target: next}, running, true, nil,
			seen{Target: "sha256:new", Reason: "Relearning", Events: []string{"Relearning"}}},
		"Suspended": {"a suspended bundle keeps what it has", outcome{target: next}, running, false,
			&v1alpha1.Suspend{Reason: "INC", Until: metav1.NewTime(now.Add(time.Hour))}, seen{Target: "sha256:new", Reason: "Suspended", Events: []string{"Suspended"}}},
		"Waits": {"a bundle whose dependency is not ready elsewhere keeps what it has", outcome{target: next, waits: "for db"}, running, false, nil,
			seen{Target: "sha256:new", Reason: "WaitingForDependency", Events: []string{"WaitingForDependency"}}},
		"Returns": {"a bundle that comes back while it leaves is assigned again", outcome{target: old}, leaving, false, nil,
			seen{Target: "sha256:old", Returned: true}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			in := planInput{Now: now, Relearning: map[string]bool{"u": tc.relearning}}
			decl := fleet.BundleDecl{Key: "fleet/a", Spec: v1alpha1.BundleSpec{Suspend: tc.suspend}}
			if diff := cmp.Diff(tc.want, describe(decide(in, key, decl, tc.result, tc.current, "eu-1"))); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// seen is what a change does, in short.
type seen struct {
	Nothing          bool
	Target, Assigned string
	Reason           string
	Events           []string
	Returned         bool
}

func describe(change *store.Change) (out seen) {
	if change == nil {
		out.Nothing = true
		return out
	}
	if change.Target != nil {
		out.Target = string(change.Target.Revision)
	}
	if change.Assigned != nil {
		out.Assigned = string(change.Assigned.Revision)
	}
	if change.Reason != nil {
		out.Reason = *change.Reason
	}
	for _, event := range change.Events {
		out.Events = append(out.Events, event.Type)
	}
	out.Returned = change.ClearTombstone
	return out
}

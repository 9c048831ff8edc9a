package state_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/hub/plugins/state"
	"github.com/periplus-fleet/periplus/plugins/host"
)

func TestProblems(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	cases := map[string]struct {
		status   host.Status
		reported time.Time
		want     []string
	}{
		"None":       {host.Status{State: host.StateReady}, now, nil},
		"Refused":    {host.Status{State: host.StateRefused, Message: "its program differs"}, now, []string{"Refused: its program differs"}},
		"Crashed":    {host.Status{State: host.StateReady, Message: "crashed"}, now, []string{"failed last: crashed"}},
		"Unconfined": {host.Status{State: host.StateReady, Conditions: []host.Condition{{Type: "Unconfined", Message: "no namespaces"}}}, now, []string{"Unconfined: no namespaces"}},
		"Silent":     {host.Status{State: host.StateReady}, now.Add(-time.Hour), []string{"no hub process with the role control reported for 1h0m0s"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, state.Problems(tc.status, tc.reported, now)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

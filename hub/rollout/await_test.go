package rollout

import (
	"testing"

	"github.com/periplus-fleet/periplus/hub/delivery"
)

func TestAwaits(t *testing.T) {
	one, two := delivery.Assignment{Revision: "sha256:1"}, delivery.Assignment{Revision: "sha256:2"}
	ready := delivery.Delivery{Target: one, Assigned: one, Observed: delivery.Observed{State: "Ready", Revision: one.Revision, AppliedRevision: one.Revision}}
	with := func(change func(*delivery.Delivery)) delivery.Delivery {
		d := ready
		change(&d)
		return d
	}
	cases := map[string]struct {
		reason string
		on     []Awaited
		want   string
	}{
		"Ready":    {"all are ready at their target", []Awaited{{"a", ready}, {"b", ready}}, ""},
		"None":     {"nothing is ready where nothing goes", nil, "waits for bundle fleet/db, which goes to none of the clusters that clusterSelector names"},
		"New":      {"what was never delivered is not ready", []Awaited{{"a", ready}, {"b", delivery.Delivery{}}}, "waits for bundle fleet/db to be ready on b (Pending)"},
		"OldReady": {"ready at another revision than its target is not ready", []Awaited{{"a", with(func(d *delivery.Delivery) { d.Target = two })}}, "waits for bundle fleet/db to be ready on a (Pending)"},
		"Held":     {"one that is held says so", []Awaited{{"a", with(func(d *delivery.Delivery) { d.Target, d.Reason = two, ReasonHeld })}}, "waits for bundle fleet/db to be ready on a (Held)"},
		"Failed":   {"as does one that failed", []Awaited{{"a", with(func(d *delivery.Delivery) { d.Observed.State = "Failed" })}}, "waits for bundle fleet/db to be ready on a (Failed)"},
		"Leaving":  {"what leaves is not ready", []Awaited{{"a", with(func(d *delivery.Delivery) { d.Tombstone = &delivery.Tombstone{} })}}, "waits for bundle fleet/db to be ready on a (Removing)"},
		"Many":     {"few are named", []Awaited{{Cluster: "a"}, {Cluster: "b"}, {Cluster: "c"}, {Cluster: "d"}, {Cluster: "e"}}, "waits for bundle fleet/db to be ready on a (Pending), b (Pending), c (Pending) and 2 more"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Awaits("fleet/db", tc.on); got != tc.want {
				t.Errorf("%s: got %q", tc.reason, got)
			}
		})
	}
}

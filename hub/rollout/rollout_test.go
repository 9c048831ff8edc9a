package rollout

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestDecide(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	one := delivery.Assignment{Revision: "sha256:1", Options: &linkv1.Options{DriftMode: "Correct"}}
	two := delivery.Assignment{Revision: "sha256:2", Options: &linkv1.Options{DriftMode: "Correct"}}
	report := delivery.Assignment{Revision: "sha256:1", Options: &linkv1.Options{DriftMode: "Report"}}
	suspend := &v1alpha1.Suspend{Reason: "INC-42", Until: metav1.NewTime(now.Add(time.Hour))}
	cases := map[string]struct {
		reason string
		pair   Pair
		want   Decision
	}{
		"New":           {"a pair that runs nothing gets its target", Pair{Target: one}, Decision{Assign: true}},
		"Unchanged":     {"nothing moves when the target is assigned", Pair{Target: one, Assigned: one}, Decision{}},
		"Changed":       {"a new revision is assigned at once", Pair{Target: two, Assigned: one}, Decision{Assign: true}},
		"OptionChanged": {"a changed option is a change", Pair{Target: report, Assigned: one}, Decision{Assign: true}},
		"Denied": {"a denied target leaves what is assigned", Pair{Target: two, Assigned: one, Denied: "no"},
			Decision{Reason: ReasonHeld, Message: "no"}},
		"Suspended": {"a suspended bundle stays", Pair{Target: two, Assigned: one, Suspend: suspend},
			Decision{Reason: ReasonSuspended, Message: "suspended until 2026-11-01T13:00:00Z: INC-42"}},
		"SuspendedUnchanged": {"a suspended bundle that has nothing to wait for is not held",
			Pair{Target: one, Assigned: one, Suspend: suspend}, Decision{}},
		"Waits": {"what others need first waits, and leaves what runs", Pair{Target: two, Assigned: one, Waits: "for db on eu-1"},
			Decision{Reason: ReasonWaiting, Message: "for db on eu-1"}},
		"WaitsForNothing": {"what is assigned stays assigned, whatever becomes of the dependency", Pair{Target: one, Assigned: one, Waits: "for db"}, Decision{}},
		"SuspensionOver": {"a suspension ends by itself", Pair{Target: two, Assigned: one,
			Suspend: &v1alpha1.Suspend{Until: metav1.NewTime(now.Add(-time.Second))}}, Decision{Assign: true}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Decide(tc.pair, now)); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestHoldRemovals(t *testing.T) {
	commit := delivery.Cause{Kind: "commit", Ref: "abc"}
	other := delivery.Cause{Kind: "target", Ref: "def"}
	removals := func(n int, cause delivery.Cause, confirmed bool) (out []Removal) {
		for i := range n {
			out = append(out, Removal{ClusterUID: fmt.Sprint(i), Bundle: "fleet/a", Cause: cause, Confirmed: confirmed})
		}
		return out
	}
	cases := map[string]struct {
		reason   string
		removals []Removal
		taken    map[string][]string
		clusters int
		allowed  int
		held     int
	}{
		"WithinFloor":       {"three clusters may always lose a bundle", removals(3, commit, false), nil, 3, 3, 0},
		"AboveFloor":        {"four of ten may not", removals(4, commit, false), nil, 10, 0, 4},
		"WithinShare":       {"five percent of a large fleet may", removals(10, commit, false), nil, 200, 10, 0},
		"Confirmed":         {"a person's word releases", removals(9, commit, true), nil, 10, 9, 0},
		"CausesCountSingly": {"budgets are per cause", append(removals(3, commit, false), removals(3, other, false)...), nil, 10, 6, 0},
		"OneOfTwoHeld":      {"one cause above its budget holds only itself", append(removals(4, commit, false), removals(1, other, false)...), nil, 10, 1, 4},
		"InParts":           {"what a commit took a moment ago counts", removals(2, commit, false), map[string][]string{"commit:abc": {"7", "8"}}, 10, 0, 2},
		"SameInParts":       {"once for each cluster", removals(2, commit, false), map[string][]string{"commit:abc": {"0", "8"}, "target:def": {"9"}}, 10, 2, 0},
		"BundlesOfOneCluster": {"many bundles of one cluster are one cluster", []Removal{
			{ClusterUID: "1", Bundle: "f/a", Cause: commit}, {ClusterUID: "1", Bundle: "f/b", Cause: commit},
			{ClusterUID: "1", Bundle: "f/c", Cause: commit}, {ClusterUID: "1", Bundle: "f/d", Cause: commit}}, nil, 1, 4, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			allowed, held := HoldRemovals(tc.removals, tc.taken, tc.clusters)
			if len(allowed) != tc.allowed || len(held) != tc.held {
				t.Errorf("%s: allowed %d, held %d; want %d, %d", tc.reason, len(allowed), len(held), tc.allowed, tc.held)
			}
		})
	}
}

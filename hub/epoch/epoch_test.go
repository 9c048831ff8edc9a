package epoch

import (
	"testing"

	"github.com/periplus-fleet/periplus/hub/store"
)

func TestJudge(t *testing.T) {
	meta := store.Meta{FleetID: "f", Epoch: "e", WriteMark: 100}
	lease := func(fleet, epoch string, mark uint64) *store.Meta {
		return &store.Meta{FleetID: fleet, Epoch: epoch, WriteMark: mark}
	}
	cases := map[string]struct {
		reason   string
		lease    *store.Meta
		known    int
		newEpoch bool
		fleet    string
	}{
		"FirstStart":       {"an empty store without a lease is a new hub", nil, 0, false, ""},
		"LeaseLost":        {"a store with clusters and no lease means that the Kubernetes API was restored", nil, 3, true, ""},
		"InStep":           {"equal marks", lease("f", "e", 100), 3, false, ""},
		"LeaseBehind":      {"the lease is written every few seconds, so the store is ahead", lease("f", "e", 90), 3, false, ""},
		"StoreBehind":      {"an older copy of the store", lease("f", "e", 101), 3, true, ""},
		"OtherEpoch":       {"one of the two was put back to before the last restore", lease("f", "d", 50), 3, true, ""},
		"StoreReplaced":    {"an emptied store takes the fleet's id over", lease("g", "e", 50), 0, true, "g"},
		"BehindAndUnknown": {"an empty store of the same fleet", lease("f", "e", 500), 0, true, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := Judge(meta, tc.lease, tc.known)
			if got.NewEpoch != tc.newEpoch || got.FleetID != tc.fleet || (got.NewEpoch && got.Reason == "") {
				t.Errorf("%s: %+v", tc.reason, got)
			}
		})
	}
}

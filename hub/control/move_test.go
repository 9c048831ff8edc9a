package control

import (
	"maps"
	"strings"
	"testing"

	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
)

// TestMovedObjectsArriveTogether moves an object from one bundle to another: the agent hands it over where it sees both ends of
// the move at once, so both must be of one generation.
func TestMovedObjectsArriveTogether(t *testing.T) {
	moved := strings.Replace(object, "name: c", "name: moved", 1)
	cases := map[string]struct {
		reason string
		giver  map[string]string
		want   []string
	}{
		"GiverStays": {"The giver goes on without it.", map[string]string{"bundles/giver/moved.yaml": ""}, []string{"c1 giver", "c1 taker", "c2 giver", "c2 taker"}},
		"GiverGone": {"The giver has no other object, and leaves.", map[string]string{"bundles/giver/moved.yaml": "", "bundles/giver/object.yaml": "",
			"bundles/giver/bundle.yaml": ""}, []string{"c1 giver leaves", "c1 taker", "c2 giver leaves", "c2 taker"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newTestFleet(t)
			files := bundleFiles("giver", "{targets: [{clusterSelector: {}}]}")
			maps.Copy(files, bundleFiles("taker", "{targets: [{clusterSelector: {}}]}"))
			files["bundles/giver/moved.yaml"] = moved
			f.commit(files)
			f.cluster("c1")
			f.cluster("c2")
			f.plan()
			known := map[string]uint64{}
			rows, err := f.store.Deliveries(t.Context(), store.DeliveryFilter{})
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range rows {
				known[row.ClusterUID] = max(known[row.ClusterUID], row.Generation)
			}
			tc.giver["bundles/taker/moved.yaml"] = moved
			f.commit(tc.giver)
			f.plan()
			if got := strings.Join(f.state(), ", "); got != strings.Join(tc.want, ", ") {
				t.Fatalf("%s: %s", tc.reason, got)
			}
			for _, uid := range []string{"uid-c1", "uid-c2"} {
				rows, err := f.store.Deliveries(t.Context(), store.DeliveryFilter{ClusterUID: uid})
				if err != nil || len(rows) != 2 {
					t.Fatal(rows, err)
				}
				if one, other := told(rows[0]), told(rows[1]); one != other || one <= known[uid] {
					t.Errorf("%s: cluster %s learns of the two ends of the move with generations %d and %d", tc.reason, uid, one, other)
				}
			}
		})
	}
}

// told is the generation that a delivery's last change came with.
func told(d delivery.Delivery) uint64 {
	if d.Tombstone != nil {
		return d.Tombstone.Generation
	}
	return d.Generation
}

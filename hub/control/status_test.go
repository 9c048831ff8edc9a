package control

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/projection"
	"github.com/periplus-fleet/periplus/hub/store"
)

// TestTalliesSumUpDeliveries compares what is counted by index with what the deliveries themselves say.
func TestTalliesSumUpDeliveries(t *testing.T) {
	f := small(t)
	f.ready("c1", "all")
	f.ready("c2", "prod")
	held, failed, no := "Held", "RenderFailed", "no"
	for cluster, reason := range map[string]*string{"c2": &held, "c3": &failed} {
		if err := f.store.Apply(t.Context(), f.term, []store.Change{{ClusterUID: "uid-" + cluster, Bundle: "fleet/all", Reason: reason, Message: &no}}); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := f.store.Deliveries(t.Context(), store.DeliveryFilter{Namespace: "fleet"})
	if err != nil {
		t.Fatal(err)
	}
	wantBundle, wantCluster := map[delivery.Key]*projection.Tally{}, map[string]*projection.Tally{}
	for _, d := range rows {
		tally(wantBundle, d.Bundle).Add(d, d.Cluster)
		tally(wantCluster, d.ClusterUID).Add(d, string(d.Bundle))
	}
	byBundle, byCluster, err := tallies(t.Context(), f.store, "fleet")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantBundle, byBundle); diff != "" {
		t.Errorf("bundles: -want +got\n%s", diff)
	}
	if diff := cmp.Diff(wantCluster, byCluster); diff != "" {
		t.Errorf("clusters: -want +got\n%s", diff)
	}
	if all := byBundle["fleet/all"]; all.Trouble != "c2: no" || all.Count.Display != "1/3" {
		t.Errorf("the first trouble is told in words: %+v", all)
	}
}

// BenchmarkStatus is what is read each second while reports come, of 100,000 deliveries.
func BenchmarkStatus(b *testing.B) {
	f := newTestFleet(b)
	var rows []delivery.Cluster
	for i := range 1000 {
		rows = append(rows, delivery.Cluster{UID: fmt.Sprint("uid-", i), Namespace: "fleet", Name: fmt.Sprint("c", i)})
	}
	if err := f.store.UpsertClusters(b.Context(), f.term, rows); err != nil {
		b.Fatal(err)
	}
	target := delivery.Assignment{Revision: "sha256:a", Commit: "c", TargetName: "all"}
	none := ""
	for _, row := range rows {
		var changes []store.Change
		for i := range 100 {
			changes = append(changes, store.Change{ClusterUID: row.UID, Bundle: delivery.Key(fmt.Sprint("fleet/b", i)), Target: &target, Assigned: &target, Reason: &none, Message: &none})
		}
		if err := f.store.Apply(b.Context(), f.term, changes); err != nil {
			b.Fatal(err)
		}
	}
	start := time.Now()
	if _, err := f.store.Deliveries(b.Context(), store.DeliveryFilter{Namespace: "fleet"}); err != nil {
		b.Fatal(err)
	}
	every := time.Since(start)
	for b.Loop() {
		if _, _, err := tallies(b.Context(), f.store, "fleet"); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/status")
	b.ReportMetric(every.Seconds(), "every-row-s")
}

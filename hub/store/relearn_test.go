package store_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
)

func TestRelearn(t *testing.T) {
	each(t, func(w *world) {
		w.clusters("a", "b")
		w.apply(assign("a", "fleet/kept", "sha256:1"), assign("a", "fleet/lost", "sha256:2"), assign("a", "fleet/left", "sha256:3"), assign("b", "fleet/kept", "sha256:1"))
		session := w.session("a")
		base := w.accept("a", session)
		w.report("a", session, 1, &linkv1.StatusReport{Full: true, Bundles: []*linkv1.BundleStatus{
			status("fleet/kept", "sha256:1", linkv1.State_STATE_READY), status("fleet/lost", "sha256:2", linkv1.State_STATE_READY)}})
		before, err := w.Meta(w.ctx())
		w.must(err)
		after, err := w.NewEpoch(w.ctx())
		w.must(err)
		if after.Epoch == before.Epoch || after.FleetID != before.FleetID || after.WriteMark <= before.WriteMark {
			w.Fatal("no new life of the same fleet:", before, after)
		}
		desired := w.desired("a")
		if !desired.Relearn || desired.Position.Epoch != after.Epoch || desired.Position.Generation <= base.Generation {
			w.Fatal("the cluster is not relearned:", desired)
		}
		if _, ok, err := w.Since(w.ctx(), "uid-a", base); err != nil || ok {
			w.Fatal("changes since a base of an earlier life", err)
		}
		report := &linkv1.RelearnReport{Epoch: before.Epoch, Entries: []*linkv1.Entry{{Bundle: "fleet/kept", Revision: "sha256:1"}, {Bundle: "fleet/more", Revision: "sha256:9"}}}
		w.must(w.SaveRelearn(w.ctx(), "uid-a", session, report))
		relearning := func() map[string]*linkv1.RelearnReport {
			items, err := w.Relearning(w.ctx())
			w.must(err)
			out := map[string]*linkv1.RelearnReport{}
			for _, item := range items {
				out[item.Cluster.Name] = item.Report
			}
			return out
		}
		if got := relearning(); len(got) != 2 || got["a"] != nil {
			w.Fatal("a report of another epoch counts:", got)
		}
		report.Epoch = after.Epoch
		w.must(w.SaveRelearn(w.ctx(), "uid-a", session-1, report))
		if got := relearning(); got["a"] != nil {
			w.Fatal("a report of a stale session counts:", got)
		}
		w.must(w.SaveRelearn(w.ctx(), "uid-a", session, report))
		if got := relearning(); !proto.Equal(got["a"], report) || got["b"] != nil {
			w.Fatal("the report is not what the agent said:", got)
		}
		stone := &delivery.Tombstone{Cause: delivery.Cause{Kind: "person", Ref: "op"}, Confirmed: true}
		w.must(w.FinishRelearn(w.ctx(), w.term, "uid-a", []store.Change{
			{ClusterUID: "uid-a", Bundle: "fleet/kept", Assigned: assignment("sha256:1", "Correct")},
			{ClusterUID: "uid-a", Bundle: "fleet/more", Assigned: assignment("sha256:9", ""), Tombstone: stone}}))
		answered := w.desired("a")
		if answered.Relearn || answered.Position.Generation <= desired.Position.Generation || len(answered.Entries) != 1 ||
			answered.Entries[0].GetBundle() != "fleet/kept" || len(answered.Tombstones) != 1 || answered.Tombstones[0].GetBundle() != "fleet/more" {
			w.Error("the set is not what was decided:", answered)
		}
		if got := relearning(); len(got) != 1 {
			w.Error("the cluster is still relearned:", got)
		}
		for bundle, want := range map[delivery.Key]string{"fleet/kept": "Ready", "fleet/lost": "Pending", "fleet/left": "Pending", "fleet/more": "Removing"} {
			if got := w.delivery("a", bundle).State(); got != want {
				w.Errorf("%s is %s, not %s", bundle, got, want)
			}
		}
		if got := w.delivery("a", "fleet/lost"); got.Target.Revision != "sha256:2" || got.Assigned.Revision != "" {
			w.Error("a delivery that the agent did not report keeps its target alone:", got)
		}
		w.consistent()
		w.apply(assign("a", "fleet/lost", "sha256:2"))
		w.consistent()
	})
}

func TestAnEmptiedStoreTakesOverItsFleet(t *testing.T) {
	each(t, func(w *world) {
		w.must(w.AdoptFleet(w.ctx(), "the-fleet"))
		meta, err := w.another().Meta(w.ctx())
		if err != nil || meta.FleetID != "the-fleet" {
			w.Error(meta, err)
		}
	})
}

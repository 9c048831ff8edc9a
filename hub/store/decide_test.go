package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
)

func TestApplyMovesSets(t *testing.T) {
	cases := map[string]struct {
		reason string
		// before stands when change comes.
		before, change []store.Change
		raised         uint64
		entries        []string
		tombstones     []string
	}{
		"Assign": {reason: "a new entry is a new set", change: []store.Change{assign("a", "fleet/x", "sha256:1")}, raised: 1, entries: []string{"fleet/x"}},
		"TwoOfOneCluster": {reason: "the generation rises once for all of one write", change: []store.Change{assign("a", "fleet/x", "sha256:1"),
			assign("a", "fleet/y", "sha256:2")}, raised: 1, entries: []string{"fleet/x", "fleet/y"}},
		"OnePairTwice": {reason: "the second change is on top of the first", change: []store.Change{assign("a", "fleet/x", "sha256:1"),
			assign("a", "fleet/x", "sha256:2")}, raised: 1, entries: []string{"fleet/x"}},
		"Same": {reason: "what is assigned already moves nothing", before: []store.Change{assign("a", "fleet/x", "sha256:1")},
			change: []store.Change{assign("a", "fleet/x", "sha256:1")}, entries: []string{"fleet/x"}},
		"CommitOnly": {reason: "a commit is for people and no part of the set", before: []store.Change{assign("a", "fleet/x", "sha256:1")},
			change:  []store.Change{{ClusterUID: "uid-a", Bundle: "fleet/x", Assigned: &delivery.Assignment{Revision: "sha256:1", Options: &linkv1.Options{DriftMode: "Correct"}, Commit: "c9"}}},
			entries: []string{"fleet/x"}},
		"OptionOnly": {reason: "a changed option is a changed entry", before: []store.Change{assign("a", "fleet/x", "sha256:1")},
			change: []store.Change{{ClusterUID: "uid-a", Bundle: "fleet/x", Assigned: assignment("sha256:1", "Warn")}}, raised: 1, entries: []string{"fleet/x"}},
		"TargetOnly": {reason: "what is not assigned yet is not in the set", before: []store.Change{assign("a", "fleet/x", "sha256:1")},
			change: []store.Change{{ClusterUID: "uid-a", Bundle: "fleet/x", Target: assignment("sha256:2", "Correct")}}, entries: []string{"fleet/x"}},
		"Tombstone": {reason: "a tombstone takes the entry out", before: []store.Change{assign("a", "fleet/x", "sha256:1"), assign("a", "fleet/y", "sha256:2")},
			change: []store.Change{leave("a", "fleet/x")}, raised: 1, entries: []string{"fleet/y"}, tombstones: []string{"fleet/x"}},
		"TombstoneAgain": {reason: "the same tombstone is no change", before: []store.Change{assign("a", "fleet/x", "sha256:1"), leave("a", "fleet/x")},
			change: []store.Change{leave("a", "fleet/x")}, tombstones: []string{"fleet/x"}},
		"TombstoneConfirmed": {reason: "a person's confirmation must reach the agent", before: []store.Change{assign("a", "fleet/x", "sha256:1"), leave("a", "fleet/x")},
			change: []store.Change{{ClusterUID: "uid-a", Bundle: "fleet/x", Tombstone: &delivery.Tombstone{Confirmed: true}}}, raised: 1, tombstones: []string{"fleet/x"}},
		"ClearTombstone": {reason: "a bundle that is declared again comes back", before: []store.Change{assign("a", "fleet/x", "sha256:1"), leave("a", "fleet/x")},
			change: []store.Change{{ClusterUID: "uid-a", Bundle: "fleet/x", ClearTombstone: true}}, raised: 1, entries: []string{"fleet/x"}},
		"ReplaceTombstoned": {reason: "cleared and assigned anew in one change", before: []store.Change{assign("a", "fleet/x", "sha256:1"), leave("a", "fleet/x")},
			change: []store.Change{{ClusterUID: "uid-a", Bundle: "fleet/x", ClearTombstone: true, Assigned: assignment("sha256:2", "Correct")}}, raised: 1, entries: []string{"fleet/x"}},
		"OtherCluster": {reason: "another cluster's set is not touched", before: []store.Change{assign("a", "fleet/x", "sha256:1")},
			change: []store.Change{assign("b", "fleet/x", "sha256:1")}, entries: []string{"fleet/x"}},
		"UnknownCluster": {reason: "a cluster that is gone changes nothing and stops nothing", change: []store.Change{assign("gone", "fleet/x", "sha256:1"),
			assign("a", "fleet/x", "sha256:1")}, raised: 1, entries: []string{"fleet/x"}},
	}
	each(t, func(w *world) {
		for name, c := range cases {
			w.T.Run(name, func(t *testing.T) {
				w := &world{T: t, Store: w.Store, url: w.url, term: w.term, clock: w.clock}
				for _, cluster := range []string{"a", "b"} {
					w.must(w.RemoveCluster(w.ctx(), w.term, "uid-"+cluster))
				}
				w.clusters("a", "b")
				for _, change := range c.before {
					w.apply(change)
				}
				before := w.desired("a").Position
				w.apply(c.change...)
				after := w.desired("a")
				if got := after.Position.Generation - before.Generation; got != c.raised {
					t.Errorf("%s: the generation rose by %d, not %d", c.reason, got, c.raised)
				}
				if (c.raised == 0) != (after.Position == before) {
					t.Errorf("%s: the position is %v after %v", c.reason, after.Position, before)
				}
				var entries, tombstones []string
				for _, entry := range after.Entries {
					entries = append(entries, entry.GetBundle())
				}
				for _, stone := range after.Tombstones {
					tombstones = append(tombstones, stone.GetBundle())
				}
				if diff := cmp.Diff([][]string{c.entries, c.tombstones}, [][]string{entries, tombstones}); diff != "" {
					t.Errorf("%s: %s", c.reason, diff)
				}
				w.consistent()
			})
		}
	})
}

func TestPreviousIsWhatWasReady(t *testing.T) {
	each(t, func(w *world) {
		w.clusters("a")
		one, two, three := w.revision("1"), w.revision("2"), w.revision("3")
		w.apply(assign("a", "fleet/x", one))
		session := w.session("a")
		w.report("a", session, 1, &linkv1.StatusReport{Bundles: []*linkv1.BundleStatus{status("fleet/x", one, linkv1.State_STATE_READY)}})
		w.apply(assign("a", "fleet/x", two))
		if got := w.delivery("a", "fleet/x").Previous.Revision; got != one {
			w.Errorf("the previous revision is %s, not the one that was ready", got)
		}
		w.report("a", session, 2, &linkv1.StatusReport{Bundles: []*linkv1.BundleStatus{status("fleet/x", two, linkv1.State_STATE_FAILED)}})
		w.apply(assign("a", "fleet/x", three))
		if got := w.delivery("a", "fleet/x").Previous.Revision; got != one {
			w.Errorf("the previous revision is %s, which failed", got)
		}
		for revision, want := range map[string]bool{string(one): true, string(two): false, string(three): true} {
			may, err := w.MayFetch(w.ctx(), "uid-a", "fleet/x", content.Digest(revision))
			w.must(err)
			if may != want {
				w.Errorf("may fetch %s: %v", revision, may)
			}
		}
	})
}

func TestABundleSaysWhatItsRemovalLeaves(t *testing.T) {
	each(t, func(w *world) {
		w.clusters("a")
		keeps := assignment(w.revision("1"), "Correct")
		keeps.Options.Orphan = true
		w.apply(store.Change{ClusterUID: "uid-a", Bundle: "fleet/x", Assigned: keeps}, assign("a", "fleet/y", w.revision("2")))
		w.apply(leave("a", "fleet/x"), leave("a", "fleet/y"))
		if !w.delivery("a", "fleet/x").Tombstone.Orphan || w.delivery("a", "fleet/y").Tombstone.Orphan {
			w.Error("the tombstone does not say what the entry said")
		}
	})
}

func TestOneProcessLeads(t *testing.T) {
	each(t, func(w *world) {
		other := w.another()
		if _, leader, err := other.Lead(w.ctx(), "two", time.Hour); err != nil || leader {
			w.Fatal("two processes lead", err)
		}
		w.pass(30 * time.Minute)
		if term, leader, err := w.Lead(w.ctx(), "one", time.Hour); err != nil || !leader || term != w.term {
			w.Fatal("who leads could not go on with its term", term, leader, err)
		}
		w.pass(59 * time.Minute)
		if _, leader, err := other.Lead(w.ctx(), "two", time.Hour); err != nil || leader {
			w.Fatal("leadership that was extended is taken over", err)
		}
		w.pass(2 * time.Minute)
		term, leader, err := other.Lead(w.ctx(), "two", time.Hour)
		if err != nil || !leader || term != w.term+1 {
			w.Fatal("leadership that ended is not taken over with a new term", term, leader, err)
		}
		w.pass(2 * time.Hour)
		if again, leader, err := other.Lead(w.ctx(), "two", time.Hour); err != nil || !leader || again != term+1 {
			w.Error("leadership that lapsed goes on with its old term:", again, leader, err)
		}
		for name, write := range map[string]func() error{
			"UpsertClusters": func() error {
				return w.UpsertClusters(w.ctx(), w.term, []delivery.Cluster{{UID: "u", Namespace: "fleet", Name: "late"}})
			},
			"RemoveCluster": func() error { return w.RemoveCluster(w.ctx(), w.term, "u") },
			"PutBundles": func() error {
				return w.PutBundles(w.ctx(), w.term, []delivery.Bundle{{Key: "fleet/x", Spec: []byte("{}")}})
			},
			"RemoveBundle":  func() error { return w.RemoveBundle(w.ctx(), w.term, "fleet/x") },
			"Apply":         func() error { return w.Apply(w.ctx(), w.term, []store.Change{assign("a", "fleet/x", "sha256:1")}) },
			"FinishRelearn": func() error { return w.FinishRelearn(w.ctx(), w.term, "u", nil) },
			"Issue":         func() error { return w.Issue(w.ctx(), w.term, "id", nil) },
		} {
			if err := write(); !errors.Is(err, store.ErrStaleTerm) {
				w.Errorf("%s of a process that leads no more: %v", name, err)
			}
		}
	})
}

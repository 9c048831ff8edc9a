package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
)

func TestSinceOnlyFromTheBaseOnRecord(t *testing.T) {
	each(t, func(w *world) {
		w.clusters("a")
		w.apply(assign("a", "fleet/x", "sha256:1"), assign("a", "fleet/y", "sha256:2"))
		session := w.session("a")
		base := w.accept("a", session)
		w.apply(leave("a", "fleet/x"), assign("a", "fleet/z", "sha256:3"))
		now := w.desired("a").Position
		other := base.SetHash
		other[0]++
		for name, c := range map[string]struct {
			base delivery.Position
			ok   bool
		}{
			"OnRecord":        {base: base, ok: true},
			"OtherEpoch":      {base: delivery.Position{Epoch: "x", Generation: base.Generation, SetHash: base.SetHash}},
			"OtherGeneration": {base: delivery.Position{Epoch: base.Epoch, Generation: base.Generation - 1, SetHash: base.SetHash}},
			"OtherHash":       {base: delivery.Position{Epoch: base.Epoch, Generation: base.Generation, SetHash: other}},
			"NotAccepted":     {base: now},
			"Nothing":         {},
		} {
			since, ok, err := w.Since(w.ctx(), "uid-a", c.base)
			w.must(err)
			if ok != c.ok || since.Position != now {
				w.Errorf("%s: ok is %v at %v", name, ok, since.Position)
			}
			if !ok && (since.Entries != nil || since.Tombstones != nil) {
				w.Errorf("%s: changes since an unknown base", name)
			}
			if ok && (len(since.Entries) != 1 || since.Entries[0].GetBundle() != "fleet/z" || len(since.Tombstones) != 1) {
				w.Errorf("%s: %v", name, since)
			}
		}
		w.accept("a", session)
		since, ok, err := w.Since(w.ctx(), "uid-a", now)
		if err != nil || !ok || len(since.Entries)+len(since.Tombstones) != 0 {
			w.Error("changes since what is accepted", since, ok, err)
		}
		if _, _, err := w.Since(w.ctx(), "gone", now); !errors.Is(err, store.ErrNotFound) {
			w.Error("an unknown cluster has a set", err)
		}
	})
}

func TestStaleSessionsDoNothing(t *testing.T) {
	each(t, func(w *world) {
		w.clusters("a")
		w.apply(assign("a", "fleet/x", "sha256:1"))
		old := w.session("a")
		ready := &linkv1.StatusReport{Bundles: []*linkv1.BundleStatus{status("fleet/x", "sha256:1", linkv1.State_STATE_READY)}}
		failed := &linkv1.StatusReport{Bundles: []*linkv1.BundleStatus{status("fleet/x", "sha256:1", linkv1.State_STATE_FAILED)}}
		session := w.session("a")
		for name, c := range map[string]struct {
			session, sequence uint64
			applied           bool
		}{"StaleSession": {old, 9, false}, "FutureSession": {session + 1, 9, false}, "NoSequence": {session, 0, false}} {
			if applied := w.report("a", c.session, c.sequence, failed); applied != c.applied {
				w.Error(name, applied)
			}
		}
		if !w.report("a", session, 2, ready) {
			w.Fatal("a report of the session is not applied")
		}
		for _, sequence := range []uint64{2, 1} {
			if w.report("a", session, sequence, failed) {
				w.Error("an old sequence was applied", sequence)
			}
		}
		if got := w.delivery("a", "fleet/x").State(); got != "Ready" {
			w.Error("a stale report changed the state to", got)
		}
		w.must(w.Accept(w.ctx(), "uid-a", old, w.desired("a").Position, nil))
		w.must(w.SaveFacts(w.ctx(), "uid-a", old, &linkv1.Hello{AgentVersion: "old"}))
		cluster, err := w.Cluster(w.ctx(), "uid-a")
		w.must(err)
		if cluster.Accepted != (delivery.Position{}) || cluster.AgentVersion != "" {
			w.Error("a stale session wrote", cluster)
		}
		if gone, err := w.ReleaseSession(w.ctx(), "uid-a", old); err != nil || gone {
			w.Error("a stale session silenced the cluster", err)
		}
		if gone, err := w.ReleaseSession(w.ctx(), "uid-a", session); err != nil || !gone {
			w.Error("the session's end did not silence the cluster", err)
		}
		if applied, err := w.Report(w.ctx(), "gone", 1, 1, ready); err != nil || applied {
			w.Error("a report of a cluster that is gone", applied, err)
		}
		if diff := cmp.Diff([]string{"Ready"}, w.events()); diff != "" {
			w.Error(diff)
		}
	})
}

func TestDuplicateIdentity(t *testing.T) {
	each(t, func(w *world) {
		w.clusters("a")
		claim := func(instance string) error {
			_, err := w.ClaimSession(w.ctx(), "uid-a", "process", instance)
			return err
		}
		w.must(claim("one"))
		w.must(claim("one"))
		w.must(claim("two"))
		w.pass(59 * time.Second)
		if err := claim("one"); !errors.Is(err, store.ErrDuplicateIdentity) {
			w.Fatal("two instances in turn were not seen:", err)
		}
		w.must(claim("two"))
		w.must(claim("three"))
		w.pass(2 * time.Minute)
		w.must(claim("two"))
	})
}

func TestFullReportForgetsUnreported(t *testing.T) {
	for name, reason := range map[string]string{"Plain": "", "Frozen": "Frozen", "Suspended": "Suspended", "RenderFailed": "RenderFailed"} {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				w.clusters("a")
				w.apply(assign("a", "fleet/x", "sha256:1"), assign("a", "fleet/y", "sha256:2"))
				session := w.session("a")
				gone := status("fleet/x", "sha256:1", linkv1.State_STATE_READY)
				gone.Counts, gone.PruneHold = &linkv1.Counts{Objects: 3}, &linkv1.PruneHold{Id: "h", Objects: 3, Budget: 1}
				gone.Exceptions = []*linkv1.ObjectStatus{{Id: &linkv1.ObjectId{Kind: "ConfigMap", Name: "c"}, State: "drifted"}}
				w.report("a", session, 1, &linkv1.StatusReport{Full: true, Bundles: []*linkv1.BundleStatus{gone, status("fleet/y", "sha256:2", linkv1.State_STATE_READY)}})
				w.apply(store.Change{ClusterUID: "uid-a", Bundle: "fleet/x", Reason: &reason})
				w.report("a", session, 2, &linkv1.StatusReport{Full: true, Bundles: []*linkv1.BundleStatus{status("fleet/y", "sha256:2", linkv1.State_STATE_READY)}})
				if got := w.delivery("a", "fleet/x").Observed; got != (delivery.Observed{}) {
					w.Error("what was not reported is still observed:", got)
				}
				if got := w.delivery("a", "fleet/y").State(); got != "Ready" {
					w.Error("what was reported is", got)
				}
				objects, err := w.ListObjects(w.ctx(), store.Query{Namespaces: []string{"fleet"}})
				if err != nil || objects.Total != 0 {
					w.Error("objects of what was not reported", objects, err)
				}
				w.consistent()
			})
		})
	}
}

func TestRemovedDropsRowsAndTellsHistory(t *testing.T) {
	each(t, func(w *world) {
		w.clusters("a")
		change := assign("a", "fleet/x", "sha256:1")
		change.Results = &[]delivery.PolicyResult{{Policy: "p", Result: "warn"}}
		w.apply(change)
		session := w.session("a")
		odd := status("fleet/x", "sha256:1", linkv1.State_STATE_FAILED)
		odd.Message = "it's \x00 \\ odd ? 'текст'"
		odd.Exceptions = []*linkv1.ObjectStatus{{Id: &linkv1.ObjectId{Kind: "ConfigMap", Name: "c"}, State: "failed", Since: timestamppb.New(w.now())}}
		odd.Events = []*linkv1.ObjectEvent{{Id: &linkv1.ObjectId{Kind: "ConfigMap", Name: "c"}, Type: "drift-repaired", Message: "data"}}
		w.report("a", session, 1, &linkv1.StatusReport{Bundles: []*linkv1.BundleStatus{odd}})
		if got, want := w.delivery("a", "fleet/x").Observed.Message, "it's  \\ odd ? 'текст'"; got != want {
			w.Errorf("the message is %q, not %q", got, want)
		}
		w.report("a", session, 2, &linkv1.StatusReport{Removed: []string{"fleet/x", "fleet/unknown"}})
		if w.delivery("a", "fleet/x") == nil {
			w.Fatal("a bundle left without a tombstone")
		}
		w.apply(leave("a", "fleet/x"))
		w.report("a", session, 3, &linkv1.StatusReport{Removed: []string{"fleet/x"}})
		query := store.Query{Namespaces: []string{"fleet"}}
		deliveries, err := w.ListDeliveries(w.ctx(), query)
		w.must(err)
		objects, err := w.ListObjects(w.ctx(), query)
		w.must(err)
		results, err := w.ListPolicyResults(w.ctx(), query)
		w.must(err)
		if deliveries.Total+objects.Total+results.Total != 0 {
			w.Error("rows of a bundle that left:", deliveries, objects, results)
		}
		if diff := cmp.Diff([]string{"DriftRepaired", "Failed", "Removed"}, w.events()); diff != "" {
			w.Error(diff)
		}
		w.consistent()
	})
}

func TestCommandsWaitForTheirAnswer(t *testing.T) {
	each(t, func(w *world) {
		w.clusters("a")
		for id, after := range map[string]time.Duration{"c1": time.Hour, "c2": time.Minute} {
			w.must(w.PutCommand(w.ctx(), "uid-a", &linkv1.Command{Id: id, Deadline: timestamppb.New(w.now().Add(after)),
				Command: &linkv1.Command_Reconcile{Reconcile: &linkv1.Reconcile{Bundle: "fleet/x"}}}))
		}
		pending := func() (ids []string) {
			commands, err := w.PendingCommands(w.ctx(), "uid-a")
			w.must(err)
			for _, command := range commands {
				ids = append(ids, command.GetId())
			}
			return ids
		}
		if diff := cmp.Diff([]string{"c1", "c2"}, pending()); diff != "" {
			w.Error(diff)
		}
		w.pass(2 * time.Minute)
		if diff := cmp.Diff([]string{"c1"}, pending()); diff != "" {
			w.Error("a command that is too late waits on:", diff)
		}
		if _, done, err := w.CommandAnswer(w.ctx(), "c1"); err != nil || done {
			w.Error("an answer before there is one", err)
		}
		w.must(w.AnswerCommand(w.ctx(), "c1", "no such hold"))
		w.must(w.AnswerCommand(w.ctx(), "c1", ""))
		if text, done, err := w.CommandAnswer(w.ctx(), "c1"); err != nil || !done || text != "no such hold" {
			w.Error("the first answer does not stand", text, done, err)
		}
		if len(pending()) != 0 {
			w.Error("an answered command waits on")
		}
		if _, _, err := w.CommandAnswer(w.ctx(), "unknown"); !errors.Is(err, store.ErrNotFound) {
			w.Error(err)
		}
	})
}

func TestSilence(t *testing.T) {
	each(t, func(w *world) {
		w.clusters("a", "b")
		w.session("a")
		w.session("b")
		w.pass(time.Hour)
		w.must(w.Touch(w.ctx(), map[string]time.Time{"uid-a": w.now(), "gone": w.now()}))
		w.must(w.SilenceUnheard(w.ctx(), w.now().Add(-time.Minute)))
		for cluster, want := range map[string]bool{"a": true, "b": false} {
			got, err := w.Cluster(w.ctx(), "uid-"+cluster)
			w.must(err)
			if got.Connected != want {
				w.Error(cluster, "connected:", got.Connected)
			}
		}
		mark := w.mark()
		w.must(w.SilenceUnheard(w.ctx(), w.now().Add(-time.Minute)))
		if w.mark() != mark {
			w.Error("silence that is known was written again")
		}
	})
}

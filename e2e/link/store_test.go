package link

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/link/storelink"
	"github.com/periplus-fleet/periplus/hub/store"
)

// TestOnTheRealStore runs both machines over hub/store: index, delta, a tombstone carried out, and a new epoch.
func TestOnTheRealStore(t *testing.T) {
	ctx := context.Background()
	s, err := store.Open(ctx, store.Config{URL: "sqlite://" + filepath.Join(t.TempDir(), "fleet.db"), Key: make([]byte, 32), Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	term, leads, err := s.Lead(ctx, "hub-a", time.Minute)
	if err != nil || !leads {
		t.Fatalf("lead: %v %v", leads, err)
	}
	if err := s.UpsertClusters(ctx, term, []delivery.Cluster{{UID: uid, Namespace: "fleet", Name: "c1"}}); err != nil {
		t.Fatal(err)
	}
	assign := func(bundle, text string) {
		t.Helper()
		data := []byte(text)
		revision, err := s.PutRevision(ctx, content.Manifest{Items: []content.Item{{ObjectID: content.ObjectID{Kind: "ConfigMap", Name: "c"}, Digest: content.Sum(data)}}},
			map[content.Digest][]byte{content.Sum(data): data})
		if err != nil {
			t.Fatal(err)
		}
		assignment := delivery.Assignment{Revision: revision}
		if err := s.Apply(ctx, term, []store.Change{{ClusterUID: uid, Bundle: delivery.Key(bundle), Target: &assignment, Assigned: &assignment}}); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{real: storelink.Link{Store: s}, process: "hub-a", durable: desired.Set{}.Clone(), caused: map[string]bool{"fleet/b": true}}
	w.startAgent()
	agree := func(when string, bundles int) {
		t.Helper()
		head, err := w.real.Head(ctx, uid)
		if err != nil {
			t.Fatal(err)
		}
		p := w.durable.Position
		if got := (delivery.Position{Epoch: p.Epoch, Generation: p.Generation, SetHash: p.Hash}); got != head.Desired || head.Recorded != head.Desired || len(w.durable.Entries) != bundles {
			t.Errorf("%s: the agent has %v with %d bundles, the hub %v, on record %v", when, got, len(w.durable.Entries), head.Desired, head.Recorded)
		}
		if len(w.failures) > 0 {
			t.Fatalf("%s: %v", when, w.failures)
		}
	}
	assign("fleet/a", "one")
	w.connect()
	w.drain()
	agree("index", 1)
	assign("fleet/b", "two")
	w.fromHub(w.hub.Poke())
	w.drain()
	agree("delta", 2)
	err = s.Apply(ctx, term, []store.Change{{ClusterUID: uid, Bundle: "fleet/b", Tombstone: &delivery.Tombstone{Cause: delivery.Cause{Kind: "commit", Ref: "abc"}}}})
	if err != nil {
		t.Fatal(err)
	}
	w.fromHub(w.hub.Poke())
	w.drain()
	agree("tombstone", 1)
	rows, err := s.Deliveries(ctx, store.DeliveryFilter{ClusterUID: uid})
	if err != nil || len(rows) != 1 || rows[0].Observed.State != "Ready" {
		t.Errorf("after the removal: %v %v", rows, err)
	}
	if _, err := s.NewEpoch(ctx); err != nil {
		t.Fatal(err)
	}
	w.fromHub(w.hub.Poke())
	w.drain()
	if w.hub != nil {
		t.Fatal("the stream goes on in a new epoch")
	}
	w.connect()
	w.drain()
	waiting, err := s.Relearning(ctx)
	if err != nil || len(waiting) != 1 || len(waiting[0].Report.GetEntries()) != 1 || !w.durable.Relearning {
		t.Fatalf("relearning: %v %v", waiting, err)
	}
	entry := waiting[0].Report.GetEntries()[0]
	assignment := delivery.Assignment{Revision: content.Digest(entry.GetRevision())}
	if err := s.FinishRelearn(ctx, term, uid, []store.Change{{ClusterUID: uid, Bundle: "fleet/a", Target: &assignment, Assigned: &assignment}}); err != nil {
		t.Fatal(err)
	}
	w.fromHub(w.hub.Poke())
	w.drain()
	agree("relearned", 1)
}

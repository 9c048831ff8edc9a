package store_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/store/storetest"
)

// world is one hub process that leads, with a clock that a test moves.
type world struct {
	*testing.T
	*store.Store
	url   string
	term  uint64
	clock *atomic.Int64
}

// each runs a test in a new world on each kind of database.
func each(t *testing.T, test func(w *world)) {
	storetest.EachURL(t, func(t *testing.T, url string) { test(newWorld(t, url)) })
}

func newWorld(t *testing.T, url string) *world {
	w := &world{T: t, url: url, clock: &atomic.Int64{}}
	w.clock.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	w.Store = w.another()
	var leader bool
	var err error
	if w.term, leader, err = w.Lead(t.Context(), "one", time.Hour); err != nil || !leader {
		t.Fatal(leader, err)
	}
	return w
}

// another is one more hub process on the world's database.
func (w *world) another() *store.Store {
	w.Helper()
	return storetest.Open(w.T, store.Config{URL: w.url, Now: w.now})
}

func (w *world) now() time.Time { return time.UnixMicro(w.clock.Load()).UTC() }

func (w *world) pass(d time.Duration) { w.clock.Add(d.Microseconds()) }

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) ctx() context.Context { return w.Context() }

func (w *world) clusters(names ...string) {
	w.Helper()
	var clusters []delivery.Cluster
	for _, name := range names {
		clusters = append(clusters, delivery.Cluster{UID: "uid-" + name, Namespace: "fleet", Name: name})
	}
	w.must(w.UpsertClusters(w.ctx(), w.term, clusters))
}

// revision writes a revision of one object.
func (w *world) revision(text string) content.Digest {
	w.Helper()
	data := fmt.Appendf(nil, "{%q:1}", text)
	digest, err := w.PutRevision(w.ctx(), content.Manifest{Items: []content.Item{{ObjectID: content.ObjectID{Kind: "ConfigMap", Name: text},
		Digest: content.Sum(data)}}}, map[content.Digest][]byte{content.Sum(data): data})
	w.must(err)
	return digest
}

func assignment(revision content.Digest, drift string) *delivery.Assignment {
	return &delivery.Assignment{Revision: revision, Options: &linkv1.Options{DriftMode: drift}, Commit: "c1"}
}

func assign(cluster string, bundle delivery.Key, revision content.Digest) store.Change {
	return store.Change{ClusterUID: "uid-" + cluster, Bundle: bundle, Target: assignment(revision, "Correct"), Assigned: assignment(revision, "Correct")}
}

func leave(cluster string, bundle delivery.Key) store.Change {
	return store.Change{ClusterUID: "uid-" + cluster, Bundle: bundle, Tombstone: &delivery.Tombstone{Cause: delivery.Cause{Kind: "commit", Ref: "c2"}}}
}

func (w *world) apply(changes ...store.Change) {
	w.Helper()
	w.must(w.Apply(w.ctx(), w.term, changes))
}

func (w *world) session(cluster string) uint64 {
	w.Helper()
	session, err := w.ClaimSession(w.ctx(), "uid-"+cluster, "process", "instance")
	w.must(err)
	return session
}

func (w *world) desired(cluster string) store.Desired {
	w.Helper()
	desired, err := w.Desired(w.ctx(), "uid-"+cluster)
	w.must(err)
	return desired
}

// accept lets the agent say that the whole set is durable.
func (w *world) accept(cluster string, session uint64) delivery.Position {
	w.Helper()
	position := w.desired(cluster).Position
	w.must(w.Accept(w.ctx(), "uid-"+cluster, session, position, nil))
	return position
}

func status(bundle string, revision content.Digest, state linkv1.State) *linkv1.BundleStatus {
	return &linkv1.BundleStatus{Bundle: bundle, Revision: string(revision), AppliedRevision: string(revision), State: state}
}

func (w *world) report(cluster string, session, sequence uint64, report *linkv1.StatusReport) bool {
	w.Helper()
	applied, err := w.Report(w.ctx(), "uid-"+cluster, session, sequence, report)
	w.must(err)
	return applied
}

func (w *world) delivery(cluster string, bundle delivery.Key) *delivery.Delivery {
	w.Helper()
	found, err := w.Deliveries(w.ctx(), store.DeliveryFilter{ClusterUID: "uid-" + cluster, Bundle: bundle})
	w.must(err)
	if len(found) == 0 {
		return nil
	}
	return &found[0]
}

// consistent says that the set's hash is that of its entries, and that the lists' state is that of the deliveries.
func (w *world) consistent() {
	w.Helper()
	clusters, err := w.Clusters(w.ctx(), "")
	w.must(err)
	for _, cluster := range clusters {
		entries := map[string]*linkv1.Entry{}
		desired := w.desired(cluster.Name)
		for _, entry := range desired.Entries {
			entries[entry.GetBundle()] = entry
		}
		if desired.Position.SetHash != content.SetHash(entries) {
			w.Errorf("cluster %s: the set's hash is not that of its %d entries", cluster.Name, len(entries))
		}
	}
	all, err := w.Deliveries(w.ctx(), store.DeliveryFilter{})
	w.must(err)
	for _, d := range all {
		page, err := w.ListDeliveries(w.ctx(), store.Query{Namespaces: []string{"fleet"}, Filter: map[string]string{"cluster": d.Cluster,
			"bundle": string(d.Bundle), "state": d.State()}})
		w.must(err)
		if page.Total != 1 {
			w.Errorf("%s on %s is %s, and is not listed as that", d.Bundle, d.Cluster, d.State())
		}
	}
}

func (w *world) events() []string {
	w.Helper()
	page, err := w.ListHistory(w.ctx(), store.Query{Namespaces: []string{"fleet"}, Sort: "time", Limit: 1000})
	w.must(err)
	var types []string
	for _, event := range page.Items {
		types = append(types, event.Type)
	}
	return types
}

func (w *world) mark() uint64 {
	w.Helper()
	meta, err := w.Meta(w.ctx())
	w.must(err)
	return meta.WriteMark
}

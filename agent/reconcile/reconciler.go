// Package reconcile brings the cluster to the accepted set, bundle by bundle: it decides what each object needs, has it
// applied, removes what no revision holds any more, and reports. It is driven by events alone (a set was accepted, an
// object changed, a command came) and by retries of what failed; at rest it does nothing. It needs no hub: the accepted
// set and its content lie in the cluster.
package reconcile

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"k8s.io/client-go/util/workqueue"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/observe"
	"github.com/periplus-fleet/periplus/agent/pace"
	"github.com/periplus-fleet/periplus/agent/tenancy"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/api/sops"
)

const (
	// workers are the bundles that are worked on at once.
	workers = 8
	// syncTimeout bounds the wait for the first look at what is managed; what is not known then is asked for by name.
	syncTimeout = 30 * time.Second
	// afterlife is how long the API server may work on what an agent asked that was killed since.
	afterlife = 3 * time.Second
)

// Desired is the accepted set with its content.
type Desired interface {
	Accepted() desired.Set
	Manifest(ctx context.Context, revision content.Digest) (content.Manifest, error)
	Content(ctx context.Context, digests []content.Digest) (map[content.Digest][]byte, error)
}

// Hub is told what became of bundles. It keeps the last word on each, also while there is no connection.
type Hub interface {
	Report(status *linkv1.BundleStatus)
	Removed(bundle string)
}

// Config of a Reconciler.
type Config struct {
	Cluster   *kube.Cluster
	Mapper    *kube.Mapper
	Desired   Desired
	Inventory *inventory.Store
	// Tenants says which ServiceAccount a bundle may act as.
	Tenants tenancy.Accounts
	Hub     Hub
	// Keys are the cluster's, for sealed objects.
	Keys func(context.Context) (*sops.Keys, error)
	Log  *slog.Logger
	// Served is called when what the cluster serves may have changed.
	Served func()
	Now    func() time.Time
	// Truce is how long an object stays as it was repaired for a fight over it to be over, default 1 minute.
	Truce time.Duration
}

// Reconciler works on all bundles of a cluster.
type Reconciler struct {
	config  Config
	tracker *observe.Tracker
	lookout *observe.Lookout
	queue   workqueue.TypedDelayingInterface[string]
	// limiter bounds the applies that are made at once, over all bundles.
	limiter *pace.Limiter

	// began is when Run was called.
	began time.Time

	mu      sync.Mutex
	set     desired.Set
	index   *index
	bundles map[string]*bundle
}

// New makes a reconciler; Run starts it.
func New(config Config) *Reconciler {
	return &Reconciler{
		config: config, limiter: pace.New(time.Now), index: newIndex(), bundles: map[string]*bundle{},
		queue: workqueue.NewTypedDelayingQueue[string](),
	}
}

// Run works until ctx ends.
func (r *Reconciler) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.began = time.Now()
	r.config.Cluster.Hear(r.heard)
	tracker := observe.New(ctx, r.config.Cluster, r.config.Log, r.queue.Add)
	tracker.Recovered = r.recovered
	lookout := observe.NewLookout(ctx, r.config.Cluster, r.config.Mapper, r.queue.Add)
	r.mu.Lock()
	r.tracker, r.lookout = tracker, lookout
	r.mu.Unlock()
	for _, name := range r.config.Inventory.Bundles() {
		inv := r.config.Inventory.Get(name)
		r.watch(inv, r.config.Desired.Accepted().Entries[name])
		r.queue.Add(name)
	}
	tracker.Start()
	r.Changed(ctx)
	var tasks sync.WaitGroup
	for range workers {
		tasks.Go(func() { r.work(ctx) })
	}
	<-ctx.Done()
	r.queue.ShutDown()
	tasks.Wait()
	tracker.Wait()
	lookout.Wait()
	return nil
}

// heard learns from calls how many more the API server takes at once. How long reads take says little: their answers differ
// in size, and watches last.
func (r *Reconciler) heard(call kube.Call) {
	switch {
	case call.Status == http.StatusTooManyRequests:
		r.limiter.Saw(pace.Sample{Throttled: true, RetryAfter: call.RetryAfter})
	case call.Method == http.MethodPatch && call.Status != 0:
		r.limiter.Saw(pace.Sample{Latency: call.Latency})
	}
}

func (r *Reconciler) work(ctx context.Context) {
	for {
		name, closed := r.queue.Get()
		if closed {
			return
		}
		if again := r.reconcile(ctx, name); again > 0 && ctx.Err() == nil {
			r.queue.AddAfter(name, again)
		}
		r.queue.Done(name)
	}
}

// Changed follows the accepted set: bundles whose entry or tombstone changed are worked on, and those that wait for
// another to let go of an object.
func (r *Reconciler) Changed(ctx context.Context) {
	next := r.config.Desired.Accepted()
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.set
	r.set = next
	r.index.update(ctx, next, r.config.Desired.Manifest)
	names := map[string]bool{}
	for name, entry := range next.Entries {
		if before.Relearning != next.Relearning || !proto.Equal(before.Entries[name], entry) {
			names[name] = true
		}
	}
	for name, tombstone := range next.Tombstones {
		if before.Relearning != next.Relearning || !proto.Equal(before.Tombstones[name], tombstone) {
			names[name] = true
		}
	}
	for name, b := range r.bundles {
		if b.entangled() {
			names[name] = true
		}
	}
	for name := range names {
		r.bundle(name).retry()
		r.bundle(name).stop()
		r.queue.Add(name)
	}
}

// Refilled has bundles worked on whose content was lost and is here again.
func (r *Reconciler) Refilled(ctx context.Context, bundles []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.index.update(ctx, r.set, r.config.Desired.Manifest)
	for _, name := range bundles {
		r.bundle(name).retry()
		r.queue.Add(name)
	}
}

// snapshot is what a pass works from.
func (r *Reconciler) snapshot(name string) (set desired.Set, b *bundle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.set, r.bundle(name)
}

// bundle is the state in memory of a bundle; the caller holds the lock.
func (r *Reconciler) bundle(name string) *bundle {
	b, ok := r.bundles[name]
	if !ok {
		b = newBundle(name)
		r.bundles[name] = b
	}
	return b
}

// wake has those worked on again that may wait for what a bundle just did.
func (r *Reconciler) wake(name string, released bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for other, entry := range r.set.Entries {
		for _, dependency := range entry.GetOptions().GetDependsOn() {
			if dependency == name {
				r.queue.Add(other)
			}
		}
	}
	if !released {
		return
	}
	for other, b := range r.bundles {
		if other != name && b.entangled() {
			b.retry()
			r.queue.Add(other)
		}
	}
}

// hooked says whether an object is a hook of a bundle's assigned revision.
func (r *Reconciler) hooked(bundle string, id content.ObjectID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.index.hooks[bundle][id]
}

// as is the client of the ServiceAccount that a bundle names, if its tenant may act as it.
func (r *Reconciler) as(bundle, named string) (*kube.Client, error) {
	account, err := r.config.Tenants.Allow(bundle, named)
	if err != nil {
		return nil, err
	}
	return r.config.Cluster.As(account)
}

// watch has the objects of an inventory watched, unless the tenant may no longer act as whom they were applied as: then
// nothing is known of them.
func (r *Reconciler) watch(inv inventory.Inventory, entry *linkv1.Entry) {
	if _, err := r.config.Tenants.Allow(inv.Bundle, inv.Account); err != nil {
		r.tracker.Watch(inv.Bundle, "", nil)
		return
	}
	interests := make([]observe.Interest, 0, len(inv.Records))
	for id, record := range inv.Records {
		interests = append(interests, observe.Interest{ID: id, Resource: record.Reach(), Ignored: left(entry, id, record.Once), Fields: expected(entry, record)})
	}
	for _, o := range inv.Hooks.Sorted() {
		if _, ordinary := inv.Records[o.ObjectID]; !ordinary && (o.Waiting() || o.Retries() && o.Run == inv.Hooks.Run) {
			interests = append(interests, observe.Interest{ID: o.ObjectID, Resource: o.Reach()})
		}
	}
	r.tracker.Watch(inv.Bundle, inv.Account, interests)
}

// reconcile is one pass over one bundle; it returns when to come again, 0 for when something happens.
func (r *Reconciler) reconcile(ctx context.Context, name string) time.Duration {
	_, b := r.snapshot(name)
	wait, done := b.waitable(ctx)
	defer done()
	// Only now, so that no change is missed that should end a wait.
	set, b := r.snapshot(name)
	p := &pass{r: r, b: b, set: set, name: name, inv: r.config.Inventory.Get(name), now: r.config.Now(), rerun: b.takeRerun(), wait: wait}
	p.entry, p.tombstone = set.Entries[name], set.Tombstones[name]
	synced, cancel := context.WithTimeout(ctx, syncTimeout)
	r.tracker.Synced(synced, name)
	cancel()
	switch {
	case ctx.Err() != nil:
		return 0
	case p.entry != nil:
		p.deliver(ctx)
	case p.tombstone != nil && !set.Relearning:
		p.remove(ctx)
	}
	return p.again
}

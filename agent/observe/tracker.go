package observe

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/owned"
	"github.com/periplus-fleet/periplus/api/content"
)

// Interest is one object that a bundle wants watched.
type Interest struct {
	ID       content.ObjectID
	Resource kube.Resource
	Ignored  []owned.Pointer
	// Fields is owned.Digest of the object as it was applied; "" while it is not.
	Fields string
}

// Clients gives the client of a ServiceAccount.
type Clients interface {
	As(account string) (*kube.Client, error)
}

// Tracker holds the extracts and runs the watches.
type Tracker struct {
	// Recovered hears of bundles with objects of a kind that is watched again. Set before Start.
	Recovered func(bundle string)

	clients Clients
	log     *slog.Logger
	notify  func(bundle string)
	ctx     context.Context
	tasks   sync.WaitGroup
	started chan struct{}

	mu      sync.Mutex
	objects map[key]*object
	bundles map[string]map[content.ObjectID]key
	watches map[watchKey]*watcher
	// kept counts the objects that are kept whole.
	kept int
}

// key is an object as one bundle sees it: while an object is handed over two bundles see it.
type key struct {
	bundle string
	watch  watchKey
	id     content.ObjectID
}

type watchKey struct {
	account  string
	resource kube.Resource
}

type object struct {
	ignored []owned.Pointer
	known   bool
	extract Extract
	// fields as applied; live is the whole object while it differs from them, until it is taken to be described.
	fields string
	live   *unstructured.Unstructured
}

// New makes a tracker whose watches end with ctx; notify is called, from any goroutine, with the bundle of a changed
// object.
func New(ctx context.Context, clients Clients, log *slog.Logger, notify func(bundle string)) *Tracker {
	return &Tracker{clients: clients, log: log, notify: notify, ctx: ctx, started: make(chan struct{}),
		objects: map[key]*object{}, bundles: map[string]map[content.ObjectID]key{}, watches: map[watchKey]*watcher{}}
}

// Start begins to watch. What is wanted before is found in the first list of its kind, so a start after everything of the
// inventory is wanted costs one list a kind.
func (t *Tracker) Start() { close(t.started) }

// Wait returns when every watch has ended, after ctx did.
func (t *Tracker) Wait() { t.tasks.Wait() }

// Watch replaces what a bundle wants watched; kinds that nobody wants any more are no longer watched.
func (t *Tracker) Watch(bundle, account string, interests []Interest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, now := t.bundles[bundle], make(map[content.ObjectID]key, len(interests))
	for _, interest := range interests {
		k := key{bundle: bundle, watch: watchKey{account, interest.Resource}, id: interest.ID}
		now[interest.ID] = k
		if known, ok := t.objects[k]; ok {
			known.ignored, known.fields = interest.Ignored, interest.Fields
			if !known.drifted() {
				t.keep(known, nil)
			}
			continue
		}
		t.objects[k] = &object{ignored: interest.Ignored, fields: interest.Fields}
		t.watcher(k.watch).want(t, k)
	}
	for id, k := range before {
		if now[id] != k {
			t.keep(t.objects[k], nil)
			delete(t.objects, k)
			t.watcher(k.watch).unwant(k)
		}
	}
	t.bundles[bundle] = now
	for k, w := range t.watches {
		if len(w.wanted) == 0 {
			w.stop()
			delete(t.watches, k)
		}
	}
	if len(now) == 0 {
		delete(t.bundles, bundle)
	}
}

// State is the extract of an object; ok is false while nothing is known of it.
func (t *Tracker) State(bundle string, id content.ObjectID) (extract Extract, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if found := t.objects[t.bundles[bundle][id]]; found != nil && found.known {
		return found.extract, true
	}
	return Extract{}, false
}

// Saw takes in an object that the agent just read or wrote, so that it need not wait for the watch to say the same.
func (t *Tracker) Saw(bundle string, id content.ObjectID, live *unstructured.Unstructured) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.bundles[bundle][id]
	if !ok {
		return
	}
	t.update(k, live)
	if found := t.objects[k]; found != nil {
		// What the agent wrote is what it wants, also before the inventory says so.
		found.fields = found.extract.Fields
		t.keep(found, nil)
	}
}

// Look asks the cluster for an object.
func (t *Tracker) Look(ctx context.Context, bundle string, id content.ObjectID) (Extract, error) {
	t.mu.Lock()
	k, ok := t.bundles[bundle][id]
	t.mu.Unlock()
	if !ok {
		return Extract{}, fmt.Errorf("cannot look at %s: it is not watched for %q", id, bundle)
	}
	if err := t.look(ctx, k); err != nil {
		return Extract{}, err
	}
	extract, _ := t.State(bundle, id)
	return extract, nil
}

func (t *Tracker) look(ctx context.Context, k key) error {
	client, err := t.clients.As(k.watch.account)
	if err != nil {
		return err
	}
	before := t.last(k)
	live, err := client.Get(ctx, k.watch.resource, k.id.Namespace, k.id.Name)
	if apierrors.IsNotFound(err) {
		live, err = nil, nil
	}
	if err != nil {
		return err
	}
	if live == nil && t.last(k) != before {
		// It was made while this looked. Should it be gone again, the watch says so.
		return nil
	}
	t.mu.Lock()
	changed := t.update(k, live)
	t.mu.Unlock()
	if changed {
		t.notify(k.bundle)
	}
	return nil
}

func (t *Tracker) last(k key) Extract {
	t.mu.Lock()
	defer t.mu.Unlock()
	if found := t.objects[k]; found != nil {
		return found.extract
	}
	return Extract{}
}

// update stores an extract and says whether it tells anything new. An object read before what is known is passed over: a
// watch may be behind what the agent itself just wrote.
func (t *Tracker) update(k key, live *unstructured.Unstructured) bool {
	found, ok := t.objects[k]
	if !ok {
		return false
	}
	if live != nil && found.known && found.extract.Exists && older(live.GetResourceVersion(), found.extract.ResourceVersion) {
		return false
	}
	extract := Of(live, k.id, found.ignored)
	before := found.extract
	before.ResourceVersion, before.Others = extract.ResourceVersion, extract.Others
	changed := !found.known || before != extract
	found.known, found.extract = true, extract
	t.keep(found, nil)
	if found.drifted() {
		t.keep(found, live)
	}
	return changed
}

func (t *Tracker) watcher(k watchKey) *watcher {
	w, ok := t.watches[k]
	if !ok {
		w = newWatcher(k)
		t.watches[k] = w
	}
	return w
}

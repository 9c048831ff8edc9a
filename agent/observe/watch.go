package observe

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/periplus-fleet/periplus/agent/owned"
	"github.com/periplus-fleet/periplus/api/content"
)

const (
	selector = owned.ManagedLabel + "=true"
	// A watch is renewed after about an hour: at rest that is its only request.
	watchSeconds = 3600
	minBackOff   = 500 * time.Millisecond
	// The longest wait is also the longest that drift may go unseen after the API server was away.
	maxBackOff = 15 * time.Second
	// manyFailures in a row have the kind listed anew, and told as one that is not watched whatever the reason.
	manyFailures = 5
)

// watcher watches one kind as one ServiceAccount: the whole cluster where it may, else the namespaces of the objects
// that are wanted. Its fields are guarded by the tracker.
type watcher struct {
	key    watchKey
	wanted map[content.ObjectID][]key
	// scopes that are watched, by namespace; "" is the whole cluster.
	scopes map[string]*scope
	// narrow is true once the whole cluster was refused.
	narrow bool
}

type scope struct {
	namespace string
	cancel    context.CancelFunc
	// listed is closed when the first list is in or was refused.
	listed  chan struct{}
	settled sync.Once
	// problem is why it is not watched; "" while it is.
	problem string
}

func newWatcher(k watchKey) *watcher {
	return &watcher{key: k, wanted: map[content.ObjectID][]key{}, scopes: map[string]*scope{}}
}

func (w *watcher) want(t *Tracker, k key) {
	w.wanted[k.id] = append(w.wanted[k.id], k)
	name := ""
	if w.narrow {
		name = k.id.Namespace
	}
	if w.scopes[name] == nil {
		w.start(t, name)
	}
}

func (w *watcher) unwant(k key) {
	left := slices.DeleteFunc(w.wanted[k.id], func(other key) bool { return other == k })
	if len(left) == 0 {
		delete(w.wanted, k.id)
		return
	}
	w.wanted[k.id] = left
}

func (w *watcher) stop() {
	for _, s := range w.scopes {
		s.cancel()
	}
}

func (w *watcher) start(t *Tracker, namespace string) {
	ctx, cancel := context.WithCancel(t.ctx)
	s := &scope{namespace: namespace, cancel: cancel, listed: make(chan struct{})}
	w.scopes[namespace] = s
	t.tasks.Go(func() { t.run(ctx, w, s, namespace) })
}

// Synced waits until the first list of every kind that a bundle wants is in, has failed, or ctx ends.
func (t *Tracker) Synced(ctx context.Context, bundle string) {
	// A watch that was refused the whole cluster goes on by namespace, so what is waited for may change meanwhile.
	for lists := t.lists(bundle); len(lists) > 0; lists = t.lists(bundle) {
		for _, listed := range lists {
			select {
			case <-listed:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (t *Tracker) lists(bundle string) []chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := map[*scope]bool{}
	var lists []chan struct{}
	for _, k := range t.bundles[bundle] {
		for _, s := range t.watches[k.watch].scopes {
			if seen[s] {
				continue
			}
			seen[s] = true
			select {
			case <-s.listed:
			default:
				lists = append(lists, s.listed)
			}
		}
	}
	return lists
}

// run lists and watches one scope until ctx ends. Errors back off here, for this kind alone. A watch that broke goes on
// where it was; only one that the API server can no longer continue is listed anew.
func (t *Tracker) run(ctx context.Context, w *watcher, s *scope, namespace string) {
	select {
	case <-t.started:
	case <-ctx.Done():
		return
	}
	defer t.settle(s)
	version, failures, wait := "", 0, minBackOff
	for ctx.Err() == nil {
		var err error
		before := version
		if version == "" {
			version, err = t.list(ctx, w, namespace)
		} else {
			version, err = t.follow(ctx, w, s, version)
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil || version != before && version != "" {
			failures, wait = 0, minBackOff
		}
		switch {
		case err == nil:
			t.settle(s)
			continue
		case apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
			// Listed anew at once, unless that is what it says again and again.
			if version = ""; failures == 0 {
				failures++
				continue
			}
		case apierrors.IsForbidden(err) && namespace == "" && w.key.resource.Namespaced:
			t.narrow(w)
			return
		}
		failures++
		t.log.Warn("cannot watch", "kind", w.key.resource.Kind, "group", w.key.resource.Group, "namespace", namespace,
			"serviceAccount", w.key.account, "retry", wait.String(), "error", err)
		t.settle(s)
		if why := refusal(w.key, err, failures); why != "" {
			t.degrade(w, s, why)
		}
		if apierrors.IsNotFound(err) && before == "" {
			t.vanish(w, namespace)
		}
		if failures >= manyFailures || apierrors.IsNotFound(err) {
			version = ""
		}
		pause(ctx, wait/2+rand.N(wait))
		wait = min(2*wait, maxBackOff)
	}
}

// settle says that the first list of a scope is in, or was refused.
func (t *Tracker) settle(s *scope) {
	s.settled.Do(func() { close(s.listed) })
}

func pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// narrow turns from the whole cluster to the namespaces of what is wanted.
func (t *Tracker) narrow(w *watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.narrow = true
	if s := w.scopes[""]; s != nil {
		s.cancel()
		delete(w.scopes, "")
	}
	for id := range w.wanted {
		if w.scopes[id.Namespace] == nil {
			w.start(t, id.Namespace)
		}
	}
}

// list reads every selected object of a scope, page by page. What is wanted and not in the list may only have lost its
// label, so it is asked for by name.
func (t *Tracker) list(ctx context.Context, w *watcher, namespace string) (version string, err error) {
	client, err := t.clients.As(w.key.account)
	if err != nil {
		return "", err
	}
	seen := map[content.ObjectID]bool{}
	options := metav1.ListOptions{LabelSelector: selector, Limit: firstPage}
	for {
		page, err := client.List(ctx, w.key.resource, namespace, options)
		if err != nil {
			return "", err
		}
		weighed := 0
		for i := range page.Items {
			weighed += weight(page.Items[i].Object)
			id := t.idOf(w, &page.Items[i])
			seen[id] = true
			t.take(w, id, &page.Items[i])
		}
		options.Limit = nextPage(len(page.Items), weighed)
		version = page.GetResourceVersion()
		if options.Continue = page.GetContinue(); options.Continue == "" {
			break
		}
	}
	for _, k := range t.wanted(w, namespace) {
		if seen[k.id] {
			continue
		}
		if err := t.look(ctx, k); err != nil {
			return "", err
		}
	}
	return version, nil
}

func (t *Tracker) wanted(w *watcher, namespace string) []key {
	t.mu.Lock()
	defer t.mu.Unlock()
	var keys []key
	for id, of := range w.wanted {
		if namespace == "" || id.Namespace == namespace {
			keys = append(keys, of...)
		}
	}
	return keys
}

func (t *Tracker) idOf(w *watcher, live *unstructured.Unstructured) content.ObjectID {
	return content.ObjectID{Group: w.key.resource.Group, Kind: w.key.resource.Kind, Namespace: live.GetNamespace(), Name: live.GetName()}
}

// take stores what is seen of an object for each bundle that wants it.
func (t *Tracker) take(w *watcher, id content.ObjectID, live *unstructured.Unstructured) {
	var changed []string
	t.mu.Lock()
	for _, k := range w.wanted[id] {
		if t.update(k, live) {
			changed = append(changed, k.bundle)
		}
	}
	t.mu.Unlock()
	for _, bundle := range changed {
		t.notify(bundle)
	}
}

// follow watches from a version on until the watch ends, and returns the version to go on from.
func (t *Tracker) follow(ctx context.Context, w *watcher, s *scope, version string) (string, error) {
	client, err := t.clients.As(w.key.account)
	if err != nil {
		return version, err
	}
	seconds := int64(watchSeconds/2 + rand.N(watchSeconds/2))
	stream, err := client.Watch(ctx, w.key.resource, s.namespace, metav1.ListOptions{
		LabelSelector: selector, ResourceVersion: version, AllowWatchBookmarks: true, TimeoutSeconds: &seconds,
	})
	if err != nil {
		return version, err
	}
	defer stream.Stop()
	t.degrade(w, s, "")
	started := time.Now()
	next, err := t.read(ctx, w, stream, version)
	if err == nil && next == version && time.Since(started) < time.Second {
		err = errors.New("the API server ended the watch at once")
	}
	return next, err
}

func (t *Tracker) read(ctx context.Context, w *watcher, stream apiwatch.Interface, version string) (string, error) {
	for {
		var event apiwatch.Event
		var open bool
		select {
		case event, open = <-stream.ResultChan():
			if !open {
				return version, nil
			}
		case <-ctx.Done():
			return version, nil
		}
		if event.Type == apiwatch.Error {
			return version, apierrors.FromObject(event.Object)
		}
		live, ok := event.Object.(*unstructured.Unstructured)
		if !ok {
			return version, errors.New("the API server sent something that is no object")
		}
		version = live.GetResourceVersion()
		switch event.Type {
		case apiwatch.Added, apiwatch.Modified:
			t.take(w, t.idOf(w, live), live)
		case apiwatch.Deleted:
			// A selected watch says Deleted also when the label went.
			id := t.idOf(w, live)
			t.mu.Lock()
			keys := slices.Clone(w.wanted[id])
			t.mu.Unlock()
			for _, k := range keys {
				if err := t.look(ctx, k); err != nil {
					return version, err
				}
			}
		}
	}
}

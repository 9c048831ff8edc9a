package observe

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/api/content"
)

const (
	// firstGlance and lastGlance bound how often an object is asked for that cannot be watched: its kind is not served, or
	// the tenant may only get it.
	firstGlance = 2 * time.Second
	lastGlance  = time.Minute
)

// Kinds finds the resource of a kind in the version that the cluster prefers.
type Kinds interface {
	Prefer(ctx context.Context, group, kind string) (kube.Resource, error)
}

// Lookout watches single objects that bundles wait for, whoever made them: each by its name, with the rights of the bundle
// that waits, and only while it does.
type Lookout struct {
	clients Clients
	kinds   Kinds
	notify  func(bundle string)
	ctx     context.Context
	tasks   sync.WaitGroup

	mu    sync.Mutex
	posts map[string]map[content.ObjectID]*post
}

// post is one object that one bundle waits for.
type post struct {
	account, namespace string
	cancel             context.CancelFunc
	seen               Sight
}

// Sight is what is known of an object that a bundle waits for.
type Sight struct {
	ID content.ObjectID
	// Healthy objects exist and are ready; Problem says in words why one is not, Err why it cannot be looked at.
	Healthy bool
	Problem string
	Err     error
}

// NewLookout makes a lookout whose watches end with ctx; notify is called, from any goroutine, with the bundle that may go
// on.
func NewLookout(ctx context.Context, clients Clients, kinds Kinds, notify func(bundle string)) *Lookout {
	return &Lookout{clients: clients, kinds: kinds, notify: notify, ctx: ctx, posts: map[string]map[content.ObjectID]*post{}}
}

// Wait returns when every watch has ended, after ctx did.
func (l *Lookout) Wait() { l.tasks.Wait() }

// Watch replaces what a bundle waits for; namespace is that of namespaced objects that name none.
func (l *Lookout) Watch(bundle, account, namespace string, ids []content.ObjectID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, now := l.posts[bundle], make(map[content.ObjectID]*post, len(ids))
	for _, id := range ids {
		if p := before[id]; p != nil && p.account == account && p.namespace == namespace {
			now[id] = p
			continue
		}
		ctx, cancel := context.WithCancel(l.ctx)
		p := &post{account: account, namespace: namespace, cancel: cancel, seen: Sight{ID: id, Problem: "is not looked at yet"}}
		now[id] = p
		l.tasks.Go(func() { l.run(ctx, bundle, p) })
	}
	for id, p := range before {
		if now[id] != p {
			p.cancel()
		}
	}
	l.posts[bundle] = now
	if len(now) == 0 {
		delete(l.posts, bundle)
	}
}

// Sight of an object that a bundle waits for.
func (l *Lookout) Sight(bundle string, id content.ObjectID) Sight {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.posts[bundle][id]; p != nil {
		return p.seen
	}
	return Sight{ID: id, Problem: "is not looked at yet"}
}

func (l *Lookout) run(ctx context.Context, bundle string, p *post) {
	wait := firstGlance
	for ctx.Err() == nil {
		err := l.look(ctx, bundle, p)
		switch {
		case err == nil:
			wait = firstGlance
		case apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
			continue
		}
		pause(ctx, wait/2+rand.N(wait/2))
		wait = min(2*wait, lastGlance)
	}
}

// look reads an object and follows it until the watch ends.
func (l *Lookout) look(ctx context.Context, bundle string, p *post) error {
	id := p.seen.ID
	resource, err := l.kinds.Prefer(ctx, id.Group, id.Kind)
	if errors.Is(err, kube.ErrNotServed) {
		l.see(ctx, bundle, p, Sight{Problem: "is of a kind that this cluster does not serve"})
		return err
	}
	client, clientErr := l.clients.As(p.account)
	if err = errors.Join(err, clientErr); err != nil {
		l.see(ctx, bundle, p, Sight{Err: err})
		return err
	}
	namespace := id.Namespace
	if namespace == "" && resource.Namespaced {
		namespace = p.namespace
	}
	named := metav1.ListOptions{FieldSelector: "metadata.name=" + id.Name}
	list, err := client.List(ctx, resource, namespace, named)
	if apierrors.IsForbidden(err) {
		return l.glance(ctx, bundle, p, client, resource, namespace)
	}
	if err != nil {
		l.see(ctx, bundle, p, Sight{Err: err})
		return err
	}
	if len(list.Items) == 0 {
		l.see(ctx, bundle, p, Sight{Problem: "does not exist"})
	} else {
		l.see(ctx, bundle, p, sightOf(&list.Items[0]))
	}
	named.ResourceVersion = list.GetResourceVersion()
	stream, err := client.Watch(ctx, resource, namespace, named)
	if err != nil {
		return err
	}
	defer stream.Stop()
	return l.follow(ctx, bundle, p, stream)
}

func (l *Lookout) follow(ctx context.Context, bundle string, p *post, stream apiwatch.Interface) error {
	for {
		select {
		case event, open := <-stream.ResultChan():
			if !open {
				return nil
			}
			live, ok := event.Object.(*unstructured.Unstructured)
			switch {
			case event.Type == apiwatch.Error:
				return apierrors.FromObject(event.Object)
			case event.Type == apiwatch.Deleted:
				l.see(ctx, bundle, p, Sight{Problem: "does not exist"})
			case ok && event.Type != apiwatch.Bookmark:
				l.see(ctx, bundle, p, sightOf(live))
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// glance reads an object that the tenant may get and not list. What it returns has the object asked for again.
func (l *Lookout) glance(ctx context.Context, bundle string, p *post, client *kube.Client, resource kube.Resource, namespace string) error {
	live, err := client.Get(ctx, resource, namespace, p.seen.ID.Name)
	switch {
	case apierrors.IsNotFound(err):
		l.see(ctx, bundle, p, Sight{Problem: "does not exist"})
	case err != nil:
		l.see(ctx, bundle, p, Sight{Err: err})
	default:
		l.see(ctx, bundle, p, sightOf(live))
		err = errors.New("it cannot be watched")
	}
	return err
}

func sightOf(live *unstructured.Unstructured) Sight {
	health, message := HealthOf(live)
	switch {
	case live.GetDeletionTimestamp() != nil:
		return Sight{Problem: "is being deleted"}
	case health == Ready:
		return Sight{Healthy: true}
	case message == "":
		message = "no reason is given"
	}
	return Sight{Problem: "is not healthy: " + message}
}

// see stores what was seen, and tells when that is news.
func (l *Lookout) see(ctx context.Context, bundle string, p *post, seen Sight) {
	l.mu.Lock()
	seen.ID = p.seen.ID
	news := ctx.Err() == nil && (p.seen.Healthy != seen.Healthy || p.seen.Problem != seen.Problem || (p.seen.Err == nil) != (seen.Err == nil))
	p.seen = seen
	l.mu.Unlock()
	if news {
		l.notify(bundle)
	}
}

package audit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/policies/engine"
)

const (
	// pageSize bounds what is in memory of a list.
	pageSize     = 250
	watchSeconds = 900
	minBackOff   = time.Second
	maxBackOff   = 5 * time.Minute
)

// errAgain says that a kind is to be listed anew.
var errAgain = errors.New("to be listed anew")

// watcher looks at one kind.
type watcher struct {
	kind   schema.GroupKind
	cancel context.CancelFunc
	// again asks for a new list.
	again chan struct{}
	// waiting is true while it could not be listed or watched; the auditor's lock guards it.
	waiting bool
}

func (w *watcher) relist() {
	select {
	case w.again <- struct{}{}:
	default:
	}
}

// start looks at a kind from now on; a.mu is held.
func (a *Auditor) start(ctx context.Context, kind schema.GroupKind) {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{kind: kind, cancel: cancel, again: make(chan struct{}, 1)}
	a.kinds[kind] = w
	a.tasks.Go(func() { a.run(ctx, w) })
}

// run lists and watches until ctx ends. Errors back off here, for this kind alone.
func (a *Auditor) run(ctx context.Context, w *watcher) {
	version, wait := "", minBackOff
	for ctx.Err() == nil {
		resource, err := a.config.Kinds.Prefer(ctx, w.kind.Group, w.kind.Kind)
		if err == nil && version == "" {
			version, err = a.list(ctx, w, resource)
		} else if err == nil {
			version, err = a.watch(ctx, w, resource, version)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			a.problem(w.kind, "")
			wait = minBackOff
			continue
		case errors.Is(err, errAgain), apierrors.IsResourceExpired(err), apierrors.IsGone(err):
			version = ""
			continue
		}
		if why := a.refusal(w.kind, resource, err); why != "" {
			a.problem(w.kind, why)
		}
		if errors.Is(err, kube.ErrNotServed) || apierrors.IsNotFound(err) {
			// Objects of a kind that is gone are gone; its CRD may come back.
			version = ""
			a.mu.Lock()
			a.found.dropKind(w.kind)
			a.mu.Unlock()
		} else {
			a.config.Log.Warn("cannot audit", "kind", w.kind.String(), "retry", wait.String(), "error", err)
		}
		a.waits(w, true)
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-w.again:
			version = ""
		case <-ctx.Done():
		}
		a.waits(w, false)
		wait = min(2*wait, maxBackOff)
	}
}

func (a *Auditor) waits(w *watcher, is bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.waiting = is
}

// refusal is what people are told of a kind that cannot be looked at; "" where there is nothing to look at, or where it is tried
// again soon.
func (a *Auditor) refusal(kind schema.GroupKind, resource kube.Resource, err error) string {
	switch {
	case errors.Is(err, kube.ErrNotServed), apierrors.IsNotFound(err):
		return ""
	case apierrors.IsForbidden(err):
		return fmt.Sprintf("cannot audit %s: the agent may not list and watch %s: grant it in policy.audit.rules of the agent's chart", kind, strings.TrimPrefix(resource.Group+"/"+resource.Resource, "/"))
	case apierrors.IsMethodNotSupported(err):
		return fmt.Sprintf("cannot audit %s: it cannot be listed and watched", kind)
	}
	return fmt.Sprintf("cannot audit %s: %v", kind, err)
}

// list looks at all objects of a kind, and forgets what was found of those that are gone.
func (a *Auditor) list(ctx context.Context, w *watcher, resource kube.Resource) (version string, err error) {
	a.mu.Lock()
	known := a.found.ofKind(w.kind)
	a.mu.Unlock()
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := a.config.Client.List(ctx, resource, "", options)
		if err != nil {
			return "", err
		}
		for i := range page.Items {
			delete(known, keyOf(w.kind, &page.Items[i]))
			if err := a.look(ctx, w, &page.Items[i]); err != nil {
				return "", err
			}
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			version = page.GetResourceVersion()
			break
		}
		select {
		case <-w.again:
			// Other policies: what was looked at so far was looked at with those before.
			return "", errAgain
		default:
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for gone := range known {
		a.found.put(gone, nil)
	}
	return version, nil
}

// watch looks at what changes from a version on, and returns the version to go on from.
func (a *Auditor) watch(ctx context.Context, w *watcher, resource kube.Resource, version string) (string, error) {
	seconds := int64(watchSeconds/2 + rand.N(watchSeconds/2))
	stream, err := a.config.Client.Watch(ctx, resource, "", metav1.ListOptions{ResourceVersion: version, AllowWatchBookmarks: true, TimeoutSeconds: &seconds})
	if err != nil {
		return version, err
	}
	defer stream.Stop()
	for {
		select {
		case <-ctx.Done():
			return version, ctx.Err()
		case <-w.again:
			return "", errAgain
		case event, open := <-stream.ResultChan():
			if !open {
				return version, nil
			}
			if event.Type == watch.Error {
				return version, apierrors.FromObject(event.Object)
			}
			object, ok := event.Object.(*unstructured.Unstructured)
			if !ok {
				continue
			}
			version = object.GetResourceVersion()
			switch event.Type {
			case watch.Added, watch.Modified:
				if err := a.look(ctx, w, object); err != nil {
					return version, err
				}
			case watch.Deleted:
				a.mu.Lock()
				a.found.put(keyOf(w.kind, object), nil)
				a.mu.Unlock()
			}
		}
	}
}

// look judges one object.
func (a *Auditor) look(ctx context.Context, w *watcher, object *unstructured.Unstructured) error {
	namespace := object.GetNamespace()
	if namespace == a.config.Namespace || w.kind == (schema.GroupKind{Kind: "Namespace"}) && object.GetName() == a.config.Namespace || object.GetDeletionTimestamp() != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.found.put(keyOf(w.kind, object), nil)
		return nil
	}
	a.mu.Lock()
	inForce := a.inForce
	a.mu.Unlock()
	object.SetManagedFields(nil)
	admission := engine.Admission{Object: object.Object}
	if namespace != "" {
		// Policies that select by its labels say that they are not known.
		admission.Namespace, _ = a.namespaces.Get(ctx, namespace)
	}
	prepared, err := engine.PrepareAdmission(admission, "")
	if err != nil {
		return err
	}
	reviewer, err := a.reviewers.For(inForce)
	if err != nil {
		return err
	}
	findings, err := reviewer.Review(ctx, prepared, "", nil)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kinds[w.kind] == w {
		a.found.put(keyOf(w.kind, object), resultsOf(keyOf(w.kind, object), findings, inForce, a.config.Now()))
	}
	return nil
}

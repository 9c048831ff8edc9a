package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/periplus-fleet/periplus/agent/apply"
	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/owned"
	"github.com/periplus-fleet/periplus/agent/sealed"
	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/sops"
)

// task is one object to apply.
type task struct {
	item     content.Item
	id       content.ObjectID
	record   inventory.Record
	recorded bool
	ignored  []owned.Pointer
	input    string
	action   Action

	object   *unstructured.Unstructured
	resource kube.Resource
	// from is the bundle that hands the object over.
	from   string
	ready  bool
	result apply.Result
	err    error
}

// once are the fields that are left to others once the object is there, as the inventory has them.
func (t *task) once() string { return strings.Join(slices.Concat(t.item.Once, t.item.Ignores()), "\n") }

func conflictf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", apply.ErrConflict, fmt.Sprintf(format, args...))
}

// lateKind is how long a kind whose CRD this very revision brings may take to be served.
const lateKind = 10 * time.Second

// apply carries out tasks, phase after phase, all of a phase at once. What fails is written down and stops no other.
func (p *pass) apply(ctx context.Context, todo []*task) {
	if len(todo) == 0 {
		return
	}
	p.prepare(ctx, todo, true)
	if !p.writeAhead(ctx, todo) {
		return
	}
	for _, phase := range phases(todo) {
		p.prepare(ctx, phase, false)
		if !p.writeAhead(ctx, phase) {
			return
		}
		var running sync.WaitGroup
		for _, t := range phase {
			if !t.ready {
				continue
			}
			if !p.r.limiter.Take(ctx) {
				t.err = ctx.Err()
				continue
			}
			running.Go(func() { p.paced(ctx, t) })
		}
		running.Wait()
		for _, t := range phase {
			p.settle(t)
		}
	}
}

// throttledTries is how often an object is applied in one pass while the server has too much to do.
const throttledTries = 5

// paced applies an object in the place that it was given. What the server has no time for waits for another place, so that
// the limit bounds tries, too.
func (p *pass) paced(ctx context.Context, t *task) {
	for tries := 1; ; tries++ {
		p.one(kube.Paced(ctx), t)
		p.r.limiter.Give()
		if !apierrors.IsTooManyRequests(t.err) || tries == throttledTries || p.wait.Err() != nil || !p.r.limiter.Take(ctx) {
			return
		}
	}
}

// prepare makes content into what is applied. A kind that is not served may come with this revision's own CRDs: on the
// early round it is left for its phase.
func (p *pass) prepare(ctx context.Context, tasks []*task, early bool) {
	var closed []*task
	for _, t := range tasks {
		if t.object == nil && t.err == nil {
			closed = append(closed, t)
		}
	}
	p.open(ctx, closed)
	for _, t := range tasks {
		if t.ready || t.err != nil {
			continue
		}
		if p.place(ctx, t, early); t.err != nil || t.resource.Kind == "" {
			continue
		}
		if t.err = p.claim(t); t.err == nil {
			t.ready = true
		}
	}
}

// open reads the content of tasks, and opens what is sealed.
func (p *pass) open(ctx context.Context, tasks []*task) {
	var digests []content.Digest
	closed := false
	for _, t := range tasks {
		digests = append(digests, t.item.Digest)
		closed = closed || t.item.Sealed
	}
	if len(digests) == 0 {
		return
	}
	blobs, err := p.r.config.Desired.Content(ctx, digests)
	var keys *sops.Keys
	var noKeys error
	if closed && err == nil {
		keys, noKeys = p.r.config.Keys(ctx)
	}
	for _, t := range tasks {
		switch {
		case err != nil:
			t.err = err
		case t.item.Sealed && noKeys != nil:
			t.err = noKeys
		case t.item.Sealed:
			t.object, t.err = sealed.Open(blobs[t.item.Digest], t.item, keys)
		default:
			t.object, t.err = apply.Parse(blobs[t.item.Digest])
		}
	}
}

// place finds the resource of a task's kind and makes its content what is applied.
func (p *pass) place(ctx context.Context, t *task, early bool) {
	kind := apply.Kind(t.object)
	resource, err := p.r.config.Mapper.Find(ctx, kind)
	if errors.Is(err, kube.ErrNotServed) && early {
		return
	}
	for deadline := time.Now().Add(lateKind); errors.Is(err, kube.ErrNotServed) && p.brings(kind.Group) && time.Now().Before(deadline) && p.wait.Err() == nil; {
		select {
		case <-time.After(time.Second / 5):
		case <-p.wait.Done():
		}
		resource, err = p.r.config.Mapper.Find(ctx, kind)
	}
	if err != nil {
		t.err = err
		return
	}
	namespace := p.manifest.DefaultNamespace
	if t.item.Hook != nil {
		namespace = p.namespace
	}
	t.resource = resource
	t.id = apply.Prepare(t.object, resource, p.name, inventory.DefaultNamespace(namespace))
	t.ignored = left(p.entry, t.id, t.once())
	t.input = apply.Input(p.client.Account, t.ignored, p.leftTo(t.id))
}

// brings says that this revision has a CRD of a group.
func (p *pass) brings(group string) bool {
	for _, item := range p.manifest.Items {
		if item.Phase == content.PhaseCRDs && len(item.Name) > len(group) && item.Name[len(item.Name)-len(group):] == group {
			return true
		}
	}
	return false
}

// claim makes sure that no two bundles have an object: the older keeps it, unless it is about to let go. What another's
// hook left is taken over once that hook is in no revision any more.
func (p *pass) claim(t *task) error {
	owner := p.r.config.Inventory.Claim(t.id, p.name)
	if owner == p.name {
		if left, ok := p.r.config.Inventory.Hook(t.id); ok && left != p.name && !p.r.hooked(left, t.item.ObjectID) {
			t.from = left
		}
		return nil
	}
	p.r.mu.Lock()
	wanted := p.r.index.wants(owner, t.id)
	p.r.mu.Unlock()
	if wanted {
		return conflictf("it belongs to bundle %s", owner)
	}
	t.from = owner
	return nil
}

// writeAhead writes down what is about to be made, so that a crash cannot make the agent forget it.
func (p *pass) writeAhead(ctx context.Context, tasks []*task) bool {
	added := false
	for _, t := range tasks {
		if _, there := p.inv.Records[t.id]; !t.ready || there {
			continue
		}
		p.inv.Records[t.id] = inventory.Record{ObjectID: t.id, Version: t.resource.Version, Resource: t.resource.Resource,
			Namespaced: t.resource.Namespaced, Phase: t.item.Phase, Wave: t.item.Wave(), Once: t.once(), Keep: t.item.KeepsWhenPruned(), Always: t.item.PrunesAlways()}
		added = true
	}
	if !added {
		return true
	}
	if err := p.r.config.Inventory.Save(ctx, p.inv); err != nil {
		p.problem = err.Error()
		p.soon(retryAfter(1))
		return false
	}
	p.r.watch(p.inv, p.entry)
	return true
}

func (p *pass) one(ctx context.Context, t *task) {
	request := apply.Request{Bundle: p.name, ID: t.id, Object: t.object, Resource: t.resource, UID: t.record.UID, Ignored: t.ignored, From: t.from, Adopt: t.item.Adopts(), Known: p.known, Sealed: t.item.Sealed,
		Managers: p.leftTo(t.id), Scaled: p.scaled(t.id), Shared: t.action == Change && p.shared(t.id), Repair: t.action == Repair}
	if t.action == Recreate {
		// What somebody deleted has another UID once it is made again.
		request.UID = ""
	}
	t.result, t.err = apply.Do(ctx, p.client, request)
	if errors.Is(t.err, apply.ErrImmutable) && t.item.Applies() == content.ApplyReplace {
		t.err = p.replace(ctx, t)
	}
	if t.err == nil && t.item.Phase == content.PhaseCRDs {
		t.err = apply.Established(p.wait, p.client, p.r.config.Mapper, request)
	}
}

// shared says whether another tool that applies objects whole has fields of one.
func (p *pass) shared(id content.ObjectID) bool {
	live, _ := p.r.tracker.State(p.name, id)
	return apply.Shares(strings.Fields(strings.Trim(live.Others, "[]")))
}

// known says whether a bundle is on this cluster, or was and is not wholly removed.
func (p *pass) known(bundle string) bool {
	return p.set.Entries[bundle] != nil || p.set.Tombstones[bundle] != nil || slices.Contains(p.r.config.Inventory.Bundles(), bundle)
}

// replace deletes an object of which a field cannot be changed; the next try makes it anew. With some kinds would go what
// the bundle did not bring: these are a person's to delete.
func (p *pass) replace(ctx context.Context, t *task) error {
	if irreplaceable(t.id) {
		return fmt.Errorf("%w (with it would go what others put there, so that it is not replaced)", t.err)
	}
	err := p.client.Delete(ctx, t.resource, t.id.Namespace, t.id.Name, t.record.UID)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return p.explain(err, t.id)
	}
	request := apply.Request{Bundle: p.name, ID: t.id, Object: t.object, Resource: t.resource, Ignored: t.ignored, Sealed: t.item.Sealed}
	t.action = Recreate
	t.result, err = apply.Do(ctx, p.client, request)
	if errors.Is(err, apply.ErrImmutable) {
		return errors.New("it is deleted to be made anew, as a field of it cannot be changed")
	}
	return err
}

// settle writes down what an apply led to.
func (p *pass) settle(t *task) {
	if t.err != nil {
		p.fail(t, t.err, true)
		if record := p.inv.Records[t.id]; errors.Is(t.err, apply.ErrConflict) && !record.Settled() {
			delete(p.inv.Records, t.id)
			p.r.config.Inventory.Release(t.id, p.name)
		}
		return
	}
	if !t.ready {
		return
	}
	live := t.result.Live
	record := inventory.Record{ObjectID: t.id, Version: t.resource.Version, Resource: t.resource.Resource, Namespaced: t.resource.Namespaced,
		Phase: t.item.Phase, Wave: t.item.Wave(), UID: string(live.GetUID()), Digest: t.item.Digest, Input: t.input, Fields: owned.Digest(live, t.ignored),
		Transient: transient(live), Once: t.once(), Keep: t.item.KeepsWhenPruned(), Always: t.item.PrunesAlways()}
	moved := t.recorded && t.record.Reach() != record.Reach()
	p.inv.Records[t.id] = record
	if t.from != "" {
		p.r.config.Inventory.Transfer(t.id, p.name)
	}
	if moved {
		p.r.watch(p.inv, p.entry)
	}
	p.r.tracker.Saw(p.name, t.id, live)
	delete(p.b.failures, t.item.ObjectID)
	p.served = p.served || t.item.Phase == content.PhaseCRDs || t.item.Phase == content.PhaseWebhooks
	before := p.found[t.item.ObjectID]
	p.found[t.item.ObjectID] = finding{id: t.id, action: Nothing}
	switch {
	case t.result.Adopted:
		p.event(t.id, "adopted", "it existed and no bundle had it")
	case t.result.Taken:
		p.event(t.id, "handed-over", "taken over from bundle "+t.from)
		p.r.queue.Add(t.from)
	case t.action == Recreate:
		p.event(t.id, "recreated", before.reason)
	case t.result.Created:
		p.event(t.id, "created", "")
	case t.action == Repair:
		p.repaired(t.id, before.reason)
	}
}

// fail writes down why an object is not applied, and when it is tried again, unless only an event can change it.
func (p *pass) fail(t *task, err error, retry bool) {
	attempts := 0
	if last, ok := p.b.failures[t.item.ObjectID]; ok && last.digest == t.item.Digest {
		attempts = last.attempts + 1
	}
	after := retryAfter(attempts)
	p.b.failures[t.item.ObjectID] = failure{digest: t.item.Digest, message: err.Error(), conflict: errors.Is(err, apply.ErrConflict), lasting: apply.Lasting(err),
		attempts: attempts, next: p.now.Add(after)}
	p.found[t.item.ObjectID] = finding{id: t.id, action: t.action, reason: err.Error()}
	if retry {
		p.soon(after)
	}
}

// transient says that the cluster removes an object by itself once it is done.
func transient(live *unstructured.Unstructured) bool {
	_, expires, _ := unstructured.NestedFieldNoCopy(live.Object, "spec", "ttlSecondsAfterFinished")
	return expires && live.GetKind() == "Job" && live.GroupVersionKind().Group == "batch"
}

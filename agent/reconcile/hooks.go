package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/agent/apply"
	"github.com/periplus-fleet/periplus/agent/hooks"
	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/owned"
	"github.com/periplus-fleet/periplus/api/content"
)

const (
	// hookTimeout bounds a hook of a bundle that names no health timeout.
	hookTimeout = 5 * time.Minute
	// leavingPoll is how often an earlier run's object, which is being deleted, is looked at.
	leavingPoll = time.Second
	maxReason   = 500
)

// hookStatus is what a pass has to say of hooks; the zero value says nothing.
type hookStatus struct {
	id      content.ObjectID
	message string
	failed  bool
}

// runHooks runs the hooks of events, one after another, as far as it gets without waiting: no pass ever waits for a hook,
// so that a newer revision or a removal is taken up at once. True when all of them are done.
func (p *pass) runHooks(ctx context.Context, events []string) bool {
	if p.inv.Hooks.Failed != "" {
		return false
	}
	for _, event := range events {
		for _, item := range hooks.Of(p.hooks, event) {
			if !p.inv.Hooks.Done(event, item.ObjectID) && !p.runHook(ctx, event, item) {
				return false
			}
		}
		// Only now: a hook may need what an earlier one of its event made.
		p.leaveHooks(ctx)
	}
	return true
}

// runHook makes the object of one hook, unless that is done, and says whether the hook is done.
func (p *pass) runHook(ctx context.Context, event string, item content.Item) bool {
	o, made := p.hookObject(item.ObjectID)
	current := made && o.Run == p.inv.Hooks.Run && o.Event == event
	if current && o.State == inventory.HookRunning {
		live, err := p.client.Get(ctx, o.Reach(), o.Namespace, o.Name)
		if err != nil && !apierrors.IsNotFound(err) {
			p.hookTrouble(event, o.ObjectID, p.explain(err, o.ObjectID))
			return false
		}
		if err != nil || string(live.GetUID()) != o.UID {
			live = nil
		}
		return p.judgeHook(ctx, event, item, o, live)
	}
	t := &task{item: item, id: item.ObjectID}
	p.open(ctx, []*task{t})
	if t.err == nil {
		p.place(ctx, t, false)
	}
	if t.err != nil {
		p.hookTrouble(event, t.id, t.err)
		return false
	}
	if !(current && o.State == inventory.HookCreating) && !p.clearHook(ctx, event, t, o) {
		return false
	}
	return p.makeHook(ctx, event, t)
}

// hookObject is what is known of an item's object; only what is known tells whether it lies in the default namespace.
func (p *pass) hookObject(id content.ObjectID) (inventory.HookObject, bool) {
	if o, ok := p.inv.Hooks.Object(id); ok || id.Namespace != "" {
		return o, ok
	}
	id.Namespace = inventory.DefaultNamespace(p.namespace)
	return p.inv.Hooks.Object(id)
}

// clearHook takes away what an earlier run left under the hook's name; true when the name is free. What is another's is
// left alone.
func (p *pass) clearHook(ctx context.Context, event string, t *task, o inventory.HookObject) bool {
	live, err := p.client.Get(ctx, t.resource, t.id.Namespace, t.id.Name)
	if apierrors.IsNotFound(err) {
		return true
	}
	if err != nil {
		p.hookTrouble(event, t.id, p.explain(err, t.id))
		return false
	}
	owner := owned.Bundle(live, t.id)
	switch {
	case owner != "" && owner != p.name:
		p.hookTrouble(event, t.id, conflictf("it belongs to bundle %s", owner))
		return false
	case owner == "" && (o.UID == "" || o.UID != string(live.GetUID())):
		p.hookTrouble(event, t.id, conflictf("it exists and is not managed by us: delete it, or take the hook out of the bundle"))
		return false
	case live.GetDeletionTimestamp() == nil && !hooks.ReplacesEarlier(*t.item.Hook):
		p.hookTrouble(event, t.id, conflictf("it exists from an earlier run, and its delete policies leave out %s: delete it", content.HookBeforeCreation))
		return false
	case live.GetDeletionTimestamp() == nil:
		err := p.client.Delete(ctx, t.resource, t.id.Namespace, t.id.Name, string(live.GetUID()))
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			p.hookTrouble(event, t.id, p.explain(err, t.id))
			return false
		}
		if _, err := p.client.Get(ctx, t.resource, t.id.Namespace, t.id.Name); apierrors.IsNotFound(err) {
			return true
		}
	}
	p.hookWaits(event, t.id, "waits for the object of an earlier run to go")
	p.soon(leavingPoll)
	return false
}

// makeHook makes the object of a hook, written down before and after.
func (p *pass) makeHook(ctx context.Context, event string, t *task) bool {
	run := &p.inv.Hooks
	o := inventory.HookObject{ObjectID: t.id, Version: t.resource.Version, Resource: t.resource.Resource, Namespaced: t.resource.Namespaced,
		Run: run.Run, Event: event, State: inventory.HookCreating, Policies: t.item.Hook.DeletePolicies, Started: p.now.UTC().Round(0)}
	run.Keep(o)
	if !p.saveHooks(ctx) {
		return false
	}
	request := apply.Request{Bundle: p.name, ID: t.id, Object: t.object, Resource: t.resource, Sealed: t.item.Sealed}
	result, err := apply.Do(ctx, p.client, request)
	if err == nil && t.item.Phase == content.PhaseCRDs {
		err = apply.Established(p.wait, p.client, p.r.config.Mapper, request)
	}
	if err != nil {
		if errors.Is(err, apply.ErrConflict) {
			run.Forget(t.id)
		}
		p.hookTrouble(event, t.id, err)
		return false
	}
	o.UID, o.State, o.Transient = string(result.Live.GetUID()), inventory.HookRunning, transient(result.Live)
	run.Keep(o)
	if !p.saveHooks(ctx) {
		return false
	}
	return p.judgeHook(ctx, event, t.item, o, result.Live)
}

// judgeHook says whether a hook is done, from its object as it lives; nil when that is gone.
func (p *pass) judgeHook(ctx context.Context, event string, item content.Item, o inventory.HookObject, live *unstructured.Unstructured) bool {
	result, message := hooks.Succeeded, ""
	switch {
	case live != nil:
		result, message = hooks.Outcome(live)
	case !o.Transient:
		result, message = hooks.Failed, "it was deleted before it was done"
	}
	if result == hooks.Running {
		limit := p.entry.GetOptions().GetHealthTimeout().AsDuration()
		if limit <= 0 {
			limit = hookTimeout
		}
		left := o.Started.Add(limit).Sub(p.now)
		if left > 0 {
			p.soon(left)
			p.hookWaits(event, o.ObjectID, message)
			return false
		}
		result, message = hooks.Failed, fmt.Sprintf("it was not done after %s: %s", limit, message)
	}
	if result == hooks.Failed {
		p.failHook(ctx, event, item, o, message, live != nil)
		return false
	}
	o.State = inventory.HookSucceeded
	p.inv.Hooks.Keep(o)
	p.inv.Hooks.Passed = append(p.inv.Hooks.Passed, inventory.HookKey(event, item.ObjectID))
	if !p.saveHooks(ctx) {
		return false
	}
	p.b.hookAttempts = 0
	p.event(o.ObjectID, "hook-succeeded", event)
	return true
}

// failHook ends a run: the hooks of this revision do not go on, until a person asks for it. An object that is gone cannot
// be deleted by that person, so it is forgotten.
func (p *pass) failHook(ctx context.Context, event string, item content.Item, o inventory.HookObject, message string, there bool) {
	if why := p.whyJob(ctx, o); why != "" {
		message += ": " + why
	}
	if len(message) > maxReason {
		message = message[:maxReason] + "..."
	}
	o.State = inventory.HookFailed
	run := &p.inv.Hooks
	if run.Keep(o); !there {
		run.Forget(o.ObjectID)
	}
	run.Failed, run.Reason = inventory.HookKey(event, item.ObjectID), message
	if !p.saveHooks(ctx) {
		return
	}
	p.event(o.ObjectID, "hook-failed", event+": "+message)
	p.leaveHooks(ctx)
	p.sayHookFailed()
}

// whyJob looks for the reason of a failed Job in its pods.
func (p *pass) whyJob(ctx context.Context, o inventory.HookObject) string {
	if o.Group != "batch" || o.Kind != "Job" {
		return ""
	}
	pods := kube.Resource{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "pods"}, Kind: "Pod", Namespaced: true}
	list, err := p.client.List(ctx, pods, o.Namespace, metav1.ListOptions{LabelSelector: "batch.kubernetes.io/controller-uid=" + o.UID, Limit: 20})
	if err != nil {
		return ""
	}
	for i := range list.Items {
		if why := hooks.Why(&list.Items[i]); why != "" {
			return why
		}
	}
	return ""
}

// leaveHooks deletes the objects of this run whose delete policy says so.
func (p *pass) leaveHooks(ctx context.Context) {
	changed := false
	for _, o := range p.inv.Hooks.Sorted() {
		if o.Run == p.inv.Hooks.Run && hooks.Leaves(o) {
			changed = p.deleteHook(ctx, o) || changed
		}
	}
	if changed {
		p.saveHooks(ctx)
	}
}

// deleteHook deletes what a hook made, if it is still that very object and the bundle's, and says whether its record
// changed.
func (p *pass) deleteHook(ctx context.Context, o inventory.HookObject) bool {
	live, err := p.client.Get(ctx, o.Reach(), o.Namespace, o.Name)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
		p.soon(retryAfter(1))
		return false
	}
	owner := p.name
	if err == nil {
		owner = owned.Bundle(live, o.ObjectID)
	}
	_, ordinary := p.inv.Records[o.ObjectID]
	if err == nil && !ordinary && owner == p.name && (o.UID == "" || o.UID == string(live.GetUID())) {
		err = p.client.Delete(ctx, o.Reach(), o.Namespace, o.Name, string(live.GetUID()))
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			p.hookTrouble(o.Event, o.ObjectID, fmt.Errorf("cannot delete it: %w", p.explain(err, o.ObjectID)))
			return false
		}
	}
	p.inv.Hooks.Forget(o.ObjectID)
	return true
}

// saveHooks writes down how far hooks are; false when that failed, and then nothing more may be done.
func (p *pass) saveHooks(ctx context.Context) bool {
	if err := p.r.config.Inventory.Save(ctx, p.inv); err != nil {
		p.problem = err.Error()
		p.soon(retryAfter(1))
		return false
	}
	p.r.watch(p.inv, p.entry)
	return true
}

func (p *pass) explain(err error, id content.ObjectID) error {
	return apply.Explain(err, p.client.Account, apply.Request{Bundle: p.name, ID: id})
}

// hookWaits says what a hook waits for.
func (p *pass) hookWaits(event string, id content.ObjectID, message string) {
	p.hook = hookStatus{id: id, message: fmt.Sprintf("hook %s (%s): %s", id, event, message)}
}

// hookTrouble says why a hook cannot be run; it is tried again.
func (p *pass) hookTrouble(event string, id content.ObjectID, err error) {
	p.hook = hookStatus{id: id, failed: true, message: fmt.Sprintf("hook %s (%s): %v", id, event, err)}
	p.soon(retryAfter(p.b.hookAttempts))
	p.b.hookAttempts++
}

// sayHookFailed says which hook failed and why.
func (p *pass) sayHookFailed() {
	run := p.inv.Hooks
	if run.Failed == "" {
		return
	}
	for _, o := range run.Sorted() {
		if o.State == inventory.HookFailed && o.Run == run.Run {
			p.hook.id = o.ObjectID
		}
	}
	p.hook.failed, p.hook.message = true, fmt.Sprintf("hook %s failed: %s", run.Failed, run.Reason)
}

package reconcile

import (
	"context"
	"slices"

	"github.com/periplus-fleet/periplus/agent/hooks"
	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/prune"
	"github.com/periplus-fleet/periplus/api/content"
)

// take makes a manifest the one to work on.
func (p *pass) take(manifest content.Manifest) {
	p.namespace = manifest.DefaultNamespace
	objects, own := hooks.Split(manifest.Items)
	p.hooks = own
	p.manifest = content.Manifest{DefaultNamespace: manifest.DefaultNamespace, Items: objects}
}

// begin starts the hooks of the revision that comes. Until those that come before it are done, the pass keeps what was
// applied before, and makes of the new revision only what its hooks may need: namespaces and CRDs.
func (p *pass) begin(ctx context.Context) {
	moment, begins := hooks.Begins(p.inv, p.revision, p.hooks)
	switch {
	case begins && p.set.Relearning && len(p.hooks) > 0:
		p.hook.message = "the hooks of the new revision wait for the hub to relearn this cluster"
		p.keepPrevious(ctx, nil)
		return
	case begins:
		p.beginRun(moment)
	case p.rerun || p.failedJobGone():
		p.inv.Hooks.Failed, p.inv.Hooks.Reason = "", ""
	}
	if p.inv.Hooks.Run == 0 {
		return
	}
	p.sayHookFailed()
	if !hooks.Pending(p.hooks, p.inv.Hooks, hooks.Before(p.inv.Hooks.Moment)) {
		return
	}
	var early []content.Item
	for _, item := range p.manifest.Items {
		if item.Phase <= content.PhaseCRDs {
			early = append(early, item)
		}
	}
	p.keepPrevious(ctx, early)
}

// failedJobGone says that somebody deleted the Job of the hook that failed: that is how a person asks for it to be run
// again. Failed Pods, and Jobs that expire, go without anyone's doing.
func (p *pass) failedJobGone() bool {
	for _, o := range p.inv.Hooks.Sorted() {
		if o.Run != p.inv.Hooks.Run || !o.Retries() {
			continue
		}
		if live, known := p.r.tracker.State(p.name, o.ObjectID); known && (!live.Exists || live.UID != o.UID) {
			return true
		}
	}
	return false
}

func (p *pass) beginRun(moment inventory.Moment) {
	next, abandoned := hooks.Begin(p.inv.Hooks, p.revision, moment)
	p.inv.Hooks, p.b.hookAttempts = next, 0
	for _, id := range abandoned {
		p.event(id, "hook-abandoned", "it is no longer waited for")
	}
}

// keepPrevious goes back to the revision that was applied last, with some objects of the next one in place of its own. An
// object that is a hook in the next revision is left out: the hook may have replaced it.
func (p *pass) keepPrevious(ctx context.Context, early []content.Item) {
	next := p.hooks
	replaced := map[content.ObjectID]bool{}
	for _, item := range slices.Concat(next, early) {
		replaced[item.ObjectID] = true
	}
	p.revision = p.inv.Revision
	var previous content.Manifest
	if p.revision != "" {
		// What is no longer held cannot be kept up; the next revision is on its way.
		previous, _ = p.r.config.Desired.Manifest(ctx, p.revision)
	}
	namespace := p.namespace
	p.take(previous)
	if p.waiting != "" {
		return
	}
	// The hooks are the next revision's; its early objects have no namespace that a default could change.
	p.hooks, p.namespace = next, namespace
	items := slices.Clone(early)
	for _, item := range p.manifest.Items {
		if !replaced[item.ObjectID] {
			items = append(items, item)
		}
	}
	p.manifest.Items = items
	p.early = early
	p.holding = true
}

func (p *pass) isEarly(item content.Item) bool {
	return slices.ContainsFunc(p.early, func(early content.Item) bool { return early.ObjectID == item.ObjectID })
}

// before runs the hooks that come before the revision, once what they may need is there.
func (p *pass) before(ctx context.Context) {
	for _, item := range p.early {
		if p.found[item.ObjectID].action != Nothing {
			return
		}
	}
	if p.set.Relearning || p.inv.Hooks.Revision != content.Digest(p.entry.GetRevision()) {
		return
	}
	if p.runHooks(ctx, hooks.Before(p.inv.Hooks.Moment)) {
		p.hook.message = "the hooks before the new revision are done"
		p.soon(0)
	}
}

// after runs the hooks that come after the revision, once all of it is ready.
func (p *pass) after(ctx context.Context) {
	run := p.inv.Hooks
	if len(p.hooks) == 0 || run.Revision != p.revision || run.Moment == inventory.Removal || p.set.Relearning {
		return
	}
	events := hooks.After(run.Moment)
	if !p.allReady() {
		if hooks.Pending(p.hooks, run, events) && p.hook.message == "" {
			p.hook.message = "its hooks wait for its objects to be ready"
		}
		return
	}
	p.runHooks(ctx, events)
}

// allReady says that every object of the revision is applied and healthy.
func (p *pass) allReady() bool {
	for _, item := range p.manifest.Items {
		f := p.found[item.ObjectID]
		if _, failed := p.b.failures[item.ObjectID]; failed {
			return false
		}
		if f.action == TellMissing || item.Applies() == content.ApplyIgnore {
			continue
		}
		live, known := p.r.tracker.State(p.name, f.id)
		if !known || live.Health != 0 {
			return false
		}
	}
	return true
}

// beginRemoval starts the hooks of a bundle's removal: those of the revision that was last applied whole.
func (p *pass) beginRemoval(ctx context.Context) {
	if p.inv.Revision == "" || p.tombstone.GetOrphan() {
		return
	}
	manifest, err := p.r.config.Desired.Manifest(ctx, p.inv.Revision)
	if err != nil {
		// Nobody can say what they were, and the bundle shall go.
		return
	}
	p.take(manifest)
	p.manifest = content.Manifest{}
	p.hooks = slices.DeleteFunc(p.hooks, func(item content.Item) bool {
		return !slices.Contains(item.Hook.Events, content.HookPreDelete) && !slices.Contains(item.Hook.Events, content.HookPostDelete)
	})
	if p.inv.Hooks.Moment == inventory.Removal && (p.rerun || p.failedJobGone()) {
		p.inv.Hooks.Failed, p.inv.Hooks.Reason = "", ""
	}
}

// runRemoval runs hooks of the removal, which begins with the first of them.
func (p *pass) runRemoval(ctx context.Context, events []string) bool {
	if len(p.hooks) == 0 {
		return true
	}
	if p.inv.Hooks.Moment != inventory.Removal {
		p.revision = p.inv.Revision
		p.beginRun(inventory.Removal)
	}
	p.sayHookFailed()
	return p.runHooks(ctx, events)
}

// beforeRemoval runs the hooks that come before the first object goes; true when nothing more keeps it.
func (p *pass) beforeRemoval(ctx context.Context) bool {
	return p.tombstone == nil || p.plan.Count(prune.Delete) == 0 || p.runRemoval(ctx, hooks.Before(inventory.Removal))
}

// afterRemoval runs the hooks that come once the objects are gone, and removes what hooks left; true when nothing is left
// to do. A hook that fails then is told and holds up nothing: there is nothing left that it could protect.
func (p *pass) afterRemoval(ctx context.Context) bool {
	if p.tombstone.GetOrphan() || p.client == nil {
		p.inv.Hooks = inventory.Hooks{}
		return true
	}
	if !p.runRemoval(ctx, hooks.After(inventory.Removal)) && p.inv.Hooks.Failed == "" {
		return false
	}
	done := true
	for _, o := range p.inv.Hooks.Sorted() {
		switch {
		case irreplaceable(o.ObjectID):
			p.event(o.ObjectID, "hook-left", "it may hold what the bundle did not bring")
			p.inv.Hooks.Forget(o.ObjectID)
		case !p.deleteHook(ctx, o):
			done = false
		}
	}
	return p.saveHooks(ctx) && done
}

// irreplaceable are kinds with which would go what others put there: the agent deletes them only where a person may hold it.
func irreplaceable(id content.ObjectID) bool {
	return id.Group == "" && (id.Kind == "PersistentVolumeClaim" || id.Kind == "Namespace") ||
		id.Group == "apiextensions.k8s.io" && id.Kind == "CustomResourceDefinition"
}

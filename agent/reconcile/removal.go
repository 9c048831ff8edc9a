package reconcile

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/periplus-fleet/periplus/agent/apply"
	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/prune"
	"github.com/periplus-fleet/periplus/api/content"
)

// prune removes what the bundle's revision no longer holds.
func (p *pass) prune(ctx context.Context) {
	options := p.entry.GetOptions()
	budget := prune.Budget{Objects: int(options.GetPruneBudgetObjects()), Percent: int(options.GetPruneBudgetPercent())}
	budget.Set = options != nil && (budget.Objects > 0 || budget.Percent > 0)
	wanted := make(map[content.ObjectID]bool, len(p.found))
	for _, f := range p.found {
		wanted[f.id] = true
	}
	p.carryOut(ctx, prune.Input{Budget: budget, Wanted: func(id content.ObjectID) bool { return wanted[id] }})
}

// remove carries out a tombstone.
func (p *pass) remove(ctx context.Context) {
	defer p.report(ctx)
	p.b.takeFresh()
	p.r.lookout.Watch(p.name, "", "", nil)
	if p.waiting = p.r.dependents(p.set, p.name); p.waiting != "" && !p.tombstone.GetOrphan() {
		return
	}
	p.beginRemoval(ctx)
	// What was never applied, or stays behind, goes without anyone's rights.
	if (len(p.inv.Records) > 0 || len(p.hooks) > 0 || len(p.inv.Hooks.Objects) > 0) && !p.tombstone.GetOrphan() {
		client, err := p.r.as(p.name, p.inv.Account)
		if err != nil {
			p.problem = "cannot remove: " + err.Error()
			p.soon(retryAfter(3))
			return
		}
		p.client = client
	}
	p.carryOut(ctx, prune.Input{
		Orphan: p.tombstone.GetOrphan(), Confirmed: p.tombstone.GetConfirmed(), Wanted: func(content.ObjectID) bool { return false },
	})
	p.unfinished = len(p.inv.Records) == 0 && p.problem == "" && !p.afterRemoval(ctx)
}

// dependents says which bundle that needs this one is still being removed; "" when none is. A circle, which can only come
// of options of different times, holds up nobody.
func (r *Reconciler) dependents(set desired.Set, name string) string {
	for _, other := range r.config.Inventory.Dependents(name) {
		if set.Tombstones[other] == nil || set.Tombstones[other].GetOrphan() || r.needs(name, other, map[string]bool{}) {
			continue
		}
		return fmt.Sprintf("waits for bundle %s, which depends on it, to be removed", other)
	}
	return ""
}

// needs says whether a bundle needs another, be it through others.
func (r *Reconciler) needs(name, other string, seen map[string]bool) bool {
	for _, needed := range r.config.Inventory.Get(name).DependsOn {
		if needed == other {
			return true
		}
		if !seen[needed] {
			seen[needed] = true
			if r.needs(needed, other, seen) {
				return true
			}
		}
	}
	return false
}

// carryOut decides and deletes until nothing more can go at once.
func (p *pass) carryOut(ctx context.Context, in prune.Input) {
	in.Bundle = p.name
	in.Assigned = func(id content.ObjectID) (string, bool) {
		p.r.mu.Lock()
		defer p.r.mu.Unlock()
		return p.r.index.other(p.name, id)
	}
	confirmed := p.b.takeConfirmation()
	for progress := true; progress && ctx.Err() == nil; {
		in.Records = p.inv.Sorted()
		if left := afterlife - time.Since(p.r.began); left > 0 {
			in.Early = true
			if slices.ContainsFunc(in.Records, func(record inventory.Record) bool { return !record.Settled() && !in.Wanted(record.ObjectID) }) {
				p.soon(left)
			}
		} else {
			in.Early = false
		}
		going := map[content.ObjectID]bool{}
		for _, record := range in.Records {
			going[record.ObjectID] = !in.Wanted(record.ObjectID) && !record.Keep
		}
		for _, o := range p.inv.Hooks.Sorted() {
			going[o.ObjectID] = p.tombstone != nil
		}
		in.Live = func(record inventory.Record) prune.Live { return p.live(ctx, record, going) }
		p.plan = prune.Decide(in)
		if confirmed != nil {
			p.confirm(confirmed)
			confirmed = nil
			continue
		}
		if !p.beforeRemoval(ctx) {
			return
		}
		progress = p.act(ctx)
	}
	if confirmed != nil {
		confirmed.done <- ctx.Err()
	}
}

// confirm marks what a person saw held, so that it goes also after a restart.
func (p *pass) confirm(c *confirmation) {
	if p.plan.HoldID != c.id {
		c.done <- fmt.Errorf("cannot confirm hold %q: what is held has changed since, see the new hold %q", c.id, p.plan.HoldID)
		return
	}
	for _, id := range p.plan.Held {
		record := p.inv.Records[id]
		record.Confirmed = true
		p.inv.Records[id] = record
	}
	p.save(context.WithoutCancel(context.Background()))
	c.done <- nil
}

// act carries out a plan; true when something is gone, so that more may go.
func (p *pass) act(ctx context.Context) bool {
	progress := false
	for _, decision := range p.plan.Decisions {
		id := decision.Record.ObjectID
		switch decision.Verdict {
		case prune.Forget:
			p.forget(decision)
			progress = true
		case prune.Delete:
			gone, err := p.delete(ctx, decision.Record)
			if err != nil {
				p.problem = fmt.Sprintf("cannot remove %s: %v", id, err)
				p.soon(retryAfter(2))
				continue
			}
			progress = progress || gone
		}
	}
	if progress {
		p.save(ctx)
		p.r.watch(p.inv, p.entry)
		p.r.wake(p.name, true)
	}
	return progress
}

func (p *pass) forget(decision prune.Decision) {
	id := decision.Record.ObjectID
	live, _ := p.r.tracker.State(p.name, id)
	if live.Exists && live.Owner != "" && live.Owner != p.name {
		p.event(id, "handed-over", decision.Reason)
	}
	delete(p.inv.Records, id)
}

// delete removes one object and says whether it is gone at once.
func (p *pass) delete(ctx context.Context, record inventory.Record) (gone bool, err error) {
	err = p.client.Delete(ctx, record.Reach(), record.Namespace, record.Name, record.UID)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return false, apply.Explain(err, p.client.Account, apply.Request{Bundle: p.name, ID: record.ObjectID})
	}
	if err == nil {
		p.event(record.ObjectID, "pruned", "")
	}
	live, err := p.r.tracker.Look(ctx, p.name, record.ObjectID)
	if err != nil {
		return false, err
	}
	if live.Exists && live.UID == record.UID {
		return false, nil
	}
	delete(p.inv.Records, record.ObjectID)
	return true, nil
}

// live is what the cluster says of an object that may go.
func (p *pass) live(ctx context.Context, record inventory.Record, going map[content.ObjectID]bool) prune.Live {
	extract, known := p.r.tracker.State(p.name, record.ObjectID)
	if !known {
		looked, err := p.r.tracker.Look(ctx, p.name, record.ObjectID)
		if err != nil {
			p.problem = fmt.Sprintf("cannot look at %s before its removal: %v", record.ObjectID, err)
			p.soon(retryAfter(2))
			return prune.Live{}
		}
		extract = looked
	}
	live := prune.Live{Known: true, Exists: extract.Exists, UID: extract.UID, Owner: extract.Owner, Deleting: extract.Deleting, Finalizers: extract.Finalizers}
	if live.Exists && !live.Deleting && live.UID == record.UID && live.Owner == p.name && !record.Confirmed && !record.Always {
		live.Precious = p.precious(ctx, record, going)
	}
	return live
}

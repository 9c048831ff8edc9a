package reconcile

import (
	"context"
	"slices"

	"github.com/periplus-fleet/periplus/agent/apply"
	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/owned"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// drift is what was found changed of an object with this digest of owned fields, so that each change is described once.
type drift struct {
	fields  string
	others  string
	changes []owned.Change
}

// maxLooks is how many drifted objects a pass asks the cluster for only to tell what changed.
const maxLooks = 16

// leftTo are the field managers that drift rules leave fields of an object to.
func (p *pass) leftTo(id content.ObjectID) []string {
	return apply.Managers(p.entry.GetOptions().GetDriftIgnore(), id)
}

func (p *pass) scaled(id content.ObjectID) bool {
	live, _ := p.r.tracker.State(p.name, id)
	return live.Scaled
}

// expected is the digest that an object is watched for changes of; "" while nobody asks what changed.
func expected(entry *linkv1.Entry, record inventory.Record) string {
	if entry.GetOptions().GetDriftMode() == driftIgnore {
		return ""
	}
	return record.Fields
}

// recovered has what failed tried again once its kind is watched again: it may be served again, or allowed.
func (r *Reconciler) recovered(bundle string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.bundles[bundle]; b != nil {
		b.retry()
	}
}

// judge looks closer at drift: whose it is, and which fields. What is left to who made it is none, and from then on the
// fields that remain ours are what later changes are told from.
func (p *pass) judge(ctx context.Context, t *task, action Action, reason string) (Action, string) {
	if action != Repair && action != TellDrift {
		delete(p.b.drifts, t.id)
		if live, known := p.r.tracker.State(p.name, t.id); known && live.Fields != t.record.Fields {
			// Nobody asks any more.
			p.r.tracker.Drifted(p.name, t.id)
		}
		if action == Nothing {
			p.rests(t.id)
		}
		return action, reason
	}
	if fight := p.b.repairs[t.id]; fight.fighting() && p.now.Before(fight.at()) {
		// What is changed again and again meanwhile is not worth a look.
		return action, fight.message()
	}
	leaves := apply.Leaves(p.leftTo(t.id))
	found := p.drifted(ctx, t)
	rest := slices.DeleteFunc(slices.Clone(found.changes), leaves)
	switch {
	case len(found.changes) == 0:
		return action, reason
	case len(rest) == 0:
		delete(p.b.drifts, t.id)
		t.record.Fields = found.fields
		p.inv.Records[t.id] = t.record
		return Nothing, ""
	default:
		return action, "was changed: " + owned.Describe(rest)
	}
}

// drifted says what changed of an object; without changes when that cannot be told. What was seen is mostly at hand; else
// the cluster is asked for a few objects, and for all where rules or an autoscaler make what is done depend on it.
func (p *pass) drifted(ctx context.Context, t *task) drift {
	seen, _ := p.r.tracker.State(p.name, t.id)
	live := p.r.tracker.Drifted(p.name, t.id)
	last, described := p.b.drifts[t.id]
	if described && last.fields == seen.Fields && last.others == seen.Others {
		return last
	}
	if live == nil && (p.looks < maxLooks || len(p.leftTo(t.id)) > 0 || seen.Scaled) {
		p.looks++
		live, _ = p.client.Get(ctx, t.record.Reach(), t.id.Namespace, t.id.Name)
	}
	if live == nil {
		return drift{}
	}
	declared := &task{item: t.item, id: t.id}
	p.open(ctx, []*task{declared})
	if declared.err == nil {
		p.place(ctx, declared, true)
	}
	if declared.err != nil || declared.resource.Kind == "" {
		// The apply says what is wrong with it.
		return drift{}
	}
	found := drift{fields: owned.Digest(live, t.ignored), others: seen.Others, changes: owned.Changes(declared.object.Object, live, t.ignored)}
	p.b.drifts[t.id] = found
	return found
}

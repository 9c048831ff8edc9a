package reconcile

import (
	"fmt"

	"github.com/periplus-fleet/periplus/agent/apply"
	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// waits says what the entry's revision waits for, "" when nothing keeps it. A revision that was applied waits for nothing
// any more: what it needed may go, and that is no reason to touch it.
func (p *pass) waits() string {
	options := p.entry.GetOptions()
	var needed []content.ObjectID
	if p.inv.Revision != p.revision {
		for _, id := range options.GetDependsOnObjects() {
			needed = append(needed, content.ObjectID{Group: id.GetGroup(), Kind: id.GetKind(), Namespace: id.GetNamespace(), Name: id.GetName()})
		}
	}
	p.r.lookout.Watch(p.name, p.client.Account, inventory.DefaultNamespace(options.GetDefaultNamespace()), needed)
	if p.inv.Revision == p.revision {
		return ""
	}
	if waiting := p.r.waitsFor(p.set, p.entry); waiting != "" {
		return waiting
	}
	for _, id := range needed {
		seen := p.r.lookout.Sight(p.name, id)
		switch {
		case seen.Err != nil:
			err := apply.Explain(seen.Err, p.client.Account, apply.Request{Bundle: p.name, ID: id})
			return fmt.Sprintf("waits for %s, which cannot be looked at: %v", id, err)
		case !seen.Healthy:
			return fmt.Sprintf("waits for %s: it %s", id, seen.Problem)
		}
	}
	return ""
}

// waitsFor says which bundle that is needed is not ready on this cluster, "" when all are.
func (r *Reconciler) waitsFor(set desired.Set, entry *linkv1.Entry) string {
	for _, name := range entry.GetOptions().GetDependsOn() {
		needed, ok := set.Entries[name]
		if !ok {
			return fmt.Sprintf("waits for bundle %s, which is not on this cluster", name)
		}
		r.mu.Lock()
		status := r.bundle(name).last()
		r.mu.Unlock()
		// A bundle of which only a removal waits for a person is as ready as it gets.
		ready := status.GetState() == linkv1.State_STATE_READY || status.GetState() == linkv1.State_STATE_HELD
		if !ready || status.GetAppliedRevision() != needed.GetRevision() {
			return fmt.Sprintf("waits for bundle %s to be ready", name)
		}
	}
	return ""
}

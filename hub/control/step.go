package control

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/target"
)

// news is what a plan is told.
type news struct {
	Namespace string
	Declared  declaration
	// All makes the plan a full one: Clusters are then all that there are.
	All bool
	// Clusters that are new or changed, and uids of those that are gone.
	Clusters []target.Cluster
	Gone     []string
	// Whole clusters, by uid, and Bundles to look at though nothing of them changed.
	Whole   []string
	Bundles []delivery.Key
	// Undeclared bundles are those that a readable commit positively no longer declares, with that commit; nil where nothing
	// changed.
	Undeclared map[delivery.Key]delivery.Cause
	// Facts that agents reported anew, by uid.
	Facts      map[string]store.Facts
	Relearning map[string]bool
	Confirmed  map[string]bool
	Now        time.Time
}

// step takes over the news, plans what they concern and writes what changes. After an error the next step makes up for it.
func (p *planner) step(ctx context.Context, term uint64, n news) (changed int, err error) {
	if err := p.take(ctx, n); err != nil {
		p.forget()
		return 0, err
	}
	full := !p.complete
	p.work.Plans++
	if full {
		p.work.Full++
	}
	if len(n.Confirmed) > 0 || !p.pending.empty() {
		// Removals of one commit count together: those that wait are looked at with those that come.
		for key := range p.held {
			p.pending.pairs[key] = true
		}
	}
	if p.pending.empty() && !full {
		p.planned = n.Now
		return 0, nil
	}
	found, err := p.gather(ctx, n.Namespace, full)
	if err != nil {
		return 0, err
	}
	pairs := p.sorted(found.pairs)
	changes, err := p.plan(ctx, planInput{Namespace: n.Namespace, Pairs: pairs, Deliveries: found.deliveries, Judge: found.judge,
		Relearning: n.Relearning, Confirmed: n.Confirmed, Commit: n.Declared.commit(), Now: n.Now})
	if err != nil {
		return 0, err
	}
	if err := p.apply(ctx, term, changes); err != nil {
		return 0, err
	}
	if full {
		p.outcomes.keepOnly(pairs)
	}
	if err := p.warn(ctx, term, full); err != nil {
		return 0, err
	}
	p.pending.clear()
	p.complete, p.planned = true, n.Now
	if full || p.outcomes.basesMoved {
		p.renderer.Hold(n.Namespace, maps.Keys(p.outcomes.bases))
		p.outcomes.basesMoved = false
	}
	return len(changes), nil
}

// warn keeps what renderers warn of where that changed, or everywhere.
func (p *planner) warn(ctx context.Context, term uint64, everywhere bool) error {
	warned := map[delivery.Key]delivery.Warnings{}
	for key := range p.outcomes.warned {
		warned[key] = delivery.NewWarnings(p.outcomes.warningsOf(key))
	}
	if everywhere {
		for key := range p.bundles {
			warned[key] = delivery.NewWarnings(p.outcomes.warningsOf(key))
		}
	}
	if len(warned) == 0 {
		return nil
	}
	if err := p.store.PutWarnings(ctx, term, warned); err != nil {
		return err
	}
	all := map[delivery.Key]delivery.Warnings{}
	maps.Copy(all, p.warnings)
	maps.Copy(all, warned)
	maps.DeleteFunc(all, func(_ delivery.Key, w delivery.Warnings) bool { return w.Count == 0 })
	p.warnings = all
	clear(p.outcomes.warned)
	return nil
}

// writeChunk bounds one transaction: others write meanwhile, and a leader must be able to say that it leads.
const writeChunk = 500

// apply writes changes, those of one cluster together. What a failure leaves out is still pending.
func (p *planner) apply(ctx context.Context, term uint64, changes []store.Change) error {
	slices.SortStableFunc(changes, func(a, b store.Change) int { return strings.Compare(a.ClusterUID, b.ClusterUID) })
	for len(changes) > 0 {
		end := min(writeChunk, len(changes))
		for end < len(changes) && changes[end].ClusterUID == changes[end-1].ClusterUID {
			end++
		}
		if err := p.store.Apply(ctx, term, changes[:end]); err != nil {
			return err
		}
		p.work.Changes += end
		changes = changes[end:]
	}
	return nil
}

// take notes what the news concern.
func (p *planner) take(ctx context.Context, n news) error {
	if n.All {
		p.forget()
	}
	policiesBefore := p.declared.policies
	if p.declared.identity != n.Declared.identity || !p.complete {
		p.takeDeclared(n.Declared)
	}
	if n.Undeclared != nil {
		p.gone = maps.Clone(n.Undeclared)
		for key := range p.gone {
			p.pending.bundles[key] = true
		}
	}
	for _, uid := range n.Gone {
		p.index.RemoveCluster(uid)
	}
	for _, cluster := range n.Clusters {
		if err := p.takeCluster(cluster, n.Now); err != nil {
			return err
		}
	}
	for uid, facts := range n.Facts {
		p.takeFacts(uid, facts)
	}
	for _, uid := range n.Whole {
		p.pending.clusters[uid] = true
	}
	for _, key := range n.Bundles {
		p.pending.bundles[key] = true
	}
	for key, at := range p.again {
		if !at.After(n.Now) {
			p.pending.pairs[key] = true
		}
	}
	p.takeRelearning(n.Relearning)
	p.suspensionsOver(n.Now)
	p.takeValues(n.Namespace)
	if p.complete {
		p.takePolicies(policiesBefore)
	} else {
		p.noteAll()
	}
	return p.dependenciesMoved(ctx)
}

package control

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/rollout"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/target"
)

// waitingBundle is a bundle of which pairs wait for others on other clusters.
type waitingBundle struct {
	// message that they wait with.
	message string
	pairs   map[string]bool
}

// rank orders bundles along what they wait for on other clusters: there are no cycles, the commit would have been refused.
func (p *planner) rank() {
	p.ranks = map[delivery.Key]int{}
	var visit func(key delivery.Key, depth int) int
	visit = func(key delivery.Key, depth int) int {
		if rank, done := p.ranks[key]; done || depth > len(p.bundles) {
			return rank
		}
		rank := 0
		for i, dependency := range p.bundles[key].Spec.DependsOn {
			if p.bundles[key].Matchers.Dependencies[i] != nil {
				rank = max(rank, 1+visit(sibling(key, dependency.Bundle), depth+1))
			}
		}
		p.ranks[key] = rank
		return rank
	}
	for key := range p.bundles {
		visit(key, 0)
	}
}

// sibling is the key of another bundle of the same namespace.
func sibling(key delivery.Key, name string) delivery.Key {
	return key[:len(key)-len(bundleName(key))] + delivery.Key(name)
}

// awaited says what a bundle waits for on other clusters; "" where everything is ready. It is the same for all its clusters.
func (w *planning) awaited(ctx context.Context, bundle plannedBundle) (string, error) {
	if message, known := w.waits[bundle.Key]; known {
		return message, nil
	}
	message := ""
	for i, dependency := range bundle.Spec.DependsOn {
		selector := bundle.Matchers.Dependencies[i]
		if selector == nil || message != "" {
			continue
		}
		var err error
		if message, err = w.awaits(ctx, sibling(bundle.Key, dependency.Bundle), selector); err != nil {
			return "", err
		}
	}
	w.waits[bundle.Key] = message
	return message, nil
}

func (w *planning) awaits(ctx context.Context, key delivery.Key, selector labels.Selector) (string, error) {
	other, declared := w.bundles[key]
	if !declared {
		return fmt.Sprintf("waits for bundle %s, which nobody declares", key), nil
	}
	rows, err := w.dependedOn(ctx, key)
	if err != nil {
		return "", err
	}
	var states []rollout.Awaited
	for _, uid := range w.index.Clusters(key) {
		cluster, _ := w.index.Cluster(uid)
		if !selector.Matches(labels.Set(cluster.Labels)) {
			continue
		}
		row, exists := rows[uid]
		_, goes, err := target.MatchDelivered(other.BundleDecl, w.index.Groups(), cluster, exists && row.Tombstone == nil)
		if err == nil && !goes {
			continue
		}
		// What this plan gives the dependency counts already: it is not ready until it runs that.
		if next, planned := w.targets[pair{uid, key}]; planned {
			row.Target = next
		}
		states = append(states, rollout.Awaited{Cluster: cluster.Name, Delivery: row})
	}
	return rollout.Awaits(key, states), nil
}

// dependedOn are the deliveries of a bundle that others wait for, by cluster.
func (w *planning) dependedOn(ctx context.Context, key delivery.Key) (map[string]delivery.Delivery, error) {
	rows, known := w.depended[key]
	if !known {
		var err error
		if rows, err = w.store.Deliveries(ctx, store.DeliveryFilter{Bundle: key}); err != nil {
			return nil, err
		}
		w.work.Rows += len(rows)
		w.depended[key] = rows
	}
	out := make(map[string]delivery.Delivery, len(rows))
	for _, row := range rows {
		out[row.ClusterUID] = row
	}
	return out, nil
}

// noteWaiting remembers which pairs wait, so that the next change of what they wait for is seen.
func (p *planner) noteWaiting(key pair, change *store.Change, current delivery.Delivery, message string) {
	reason := current.Reason
	if change != nil && change.Reason != nil {
		reason = *change.Reason
	}
	waiting := p.waiting[key.bundle]
	if reason != rollout.ReasonWaiting {
		if waiting != nil {
			if delete(waiting.pairs, key.cluster); len(waiting.pairs) == 0 {
				delete(p.waiting, key.bundle)
			}
		}
		return
	}
	if waiting == nil {
		waiting = &waitingBundle{pairs: map[string]bool{}}
		p.waiting[key.bundle] = waiting
	}
	waiting.message, waiting.pairs[key.cluster] = message, true
}

// dependenciesMoved notes the pairs that wait for something which is another now: agents' reports change it, and nothing else
// says so.
func (p *planner) dependenciesMoved(ctx context.Context) error {
	if len(p.waiting) == 0 {
		return nil
	}
	w := &planning{planner: p, depended: map[delivery.Key][]delivery.Delivery{}, waits: map[delivery.Key]string{}}
	for _, key := range slices.Sorted(maps.Keys(p.waiting)) {
		bundle, declared := p.bundles[key]
		if !declared {
			continue
		}
		message, err := w.awaited(ctx, bundle)
		if err != nil {
			return err
		}
		if message == p.waiting[key].message {
			continue
		}
		for uid := range p.waiting[key].pairs {
			p.pending.pairs[pair{uid, key}] = true
		}
	}
	return nil
}

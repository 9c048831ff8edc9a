package control

import (
	"context"
	"maps"
	"slices"

	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
)

// manyBundles is from when on reading all rows of a cluster is cheaper than naming those wanted.
const manyBundles = 200

// gathered is what a plan looks at.
type gathered struct {
	pairs      map[pair]bool
	deliveries map[pair]delivery.Delivery
	// judge are those of pairs for which nothing changed but policies.
	judge map[pair]bool
}

// gather reads the deliveries of what is pending, and says which pairs there are.
func (p *planner) gather(ctx context.Context, namespace string, full bool) (gathered, error) {
	found := gathered{pairs: maps.Clone(p.pending.pairs), deliveries: map[pair]delivery.Delivery{}, judge: map[pair]bool{}}
	for key := range p.pending.bundles {
		for _, uid := range p.index.Clusters(key) {
			found.pairs[pair{uid, key}] = true
		}
	}
	for uid := range p.pending.clusters {
		for _, key := range p.index.Bundles(uid) {
			found.pairs[pair{uid, key}] = true
		}
	}
	for _, filter := range p.filters(namespace, full) {
		rows, err := p.store.Deliveries(ctx, filter)
		if err != nil {
			return found, err
		}
		p.work.Rows += len(rows)
		for _, row := range rows {
			key := pair{row.ClusterUID, row.Bundle}
			found.deliveries[key] = row
			switch {
			case full || p.pending.bundles[row.Bundle] || p.pending.clusters[row.ClusterUID]:
				found.pairs[key] = true
			case p.pending.judge[row.Bundle] && !found.pairs[key]:
				found.judge[key] = true
			}
		}
	}
	maps.Copy(found.pairs, found.judge)
	return found, nil
}

// filters choose the rows of what is pending.
func (p *planner) filters(namespace string, full bool) []store.DeliveryFilter {
	if full {
		return []store.DeliveryFilter{{Namespace: namespace}}
	}
	var out []store.DeliveryFilter
	for key := range p.pending.bundles {
		out = append(out, store.DeliveryFilter{Bundle: key})
	}
	for key := range p.pending.judge {
		if !p.pending.bundles[key] {
			out = append(out, store.DeliveryFilter{Bundle: key})
		}
	}
	for uid := range p.pending.clusters {
		out = append(out, store.DeliveryFilter{ClusterUID: uid})
	}
	single := byCluster(p.pending.pairs)
	for _, uid := range slices.Sorted(maps.Keys(single)) {
		filter := store.DeliveryFilter{ClusterUID: uid, Bundles: single[uid]}
		if p.pending.clusters[uid] {
			continue
		}
		if len(filter.Bundles) > manyBundles {
			filter.Bundles = nil
		}
		out = append(out, filter)
	}
	return out
}

func byCluster(pairs map[pair]bool) map[string][]delivery.Key {
	out := map[string][]delivery.Key{}
	for key := range pairs {
		out[key.cluster] = append(out[key.cluster], key.bundle)
	}
	return out
}

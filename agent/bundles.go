package agent

import (
	"maps"
	"sync"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// bundles is the accepted set without the cluster's policies, which are applied nowhere.
type bundles struct {
	*desired.Store

	mu   sync.Mutex
	of   desired.Set
	left desired.Set
}

// Accepted is the set of bundles that is durable in the cluster.
func (b *bundles) Accepted() desired.Set {
	set := b.Store.Accepted()
	b.mu.Lock()
	defer b.mu.Unlock()
	if set.Position == b.of.Position && set.Relearning == b.of.Relearning && len(set.Entries) == len(b.of.Entries) && len(set.Tombstones) == len(b.of.Tombstones) {
		return b.left
	}
	b.of, b.left = set, set
	if hasPolicies(set.Entries) || hasPolicies(set.Tombstones) {
		b.left = set.Clone()
		maps.DeleteFunc(b.left.Entries, func(name string, _ *linkv1.Entry) bool { return content.IsPolicies(name) })
		maps.DeleteFunc(b.left.Tombstones, func(name string, _ *linkv1.Tombstone) bool { return content.IsPolicies(name) })
	}
	return b.left
}

func hasPolicies[V any](named map[string]V) bool {
	for name := range named {
		if content.IsPolicies(name) {
			return true
		}
	}
	return false
}

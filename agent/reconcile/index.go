package reconcile

import (
	"context"
	"slices"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/api/content"
)

// index says which bundles of the accepted set want an object. It is what keeps an object that moves between bundles.
type index struct {
	// bundles by identity. An item without a namespace stands under both identities that it may have: one too many keeps
	// an object, one too few would remove it.
	bundles map[content.ObjectID][]string
	of      map[string]indexed
	// hooks of each bundle: they are made anew for each run, so that they claim nothing.
	hooks map[string]map[content.ObjectID]bool
	// unknown is a bundle whose manifest cannot be read: what it wants is not known, so nothing may be removed.
	unknown map[string]bool
}

type indexed struct {
	revision content.Digest
	ids      []content.ObjectID
}

func newIndex() *index {
	return &index{bundles: map[content.ObjectID][]string{}, of: map[string]indexed{}, hooks: map[string]map[content.ObjectID]bool{}, unknown: map[string]bool{}}
}

// update follows an accepted set, at the cost of what changed in it.
func (x *index) update(ctx context.Context, set desired.Set, manifest func(context.Context, content.Digest) (content.Manifest, error)) {
	for bundle := range x.of {
		if _, stays := set.Entries[bundle]; !stays {
			x.remove(bundle)
		}
	}
	for bundle := range x.unknown {
		if _, stays := set.Entries[bundle]; !stays {
			delete(x.unknown, bundle)
		}
	}
	for bundle, entry := range set.Entries {
		revision := content.Digest(entry.GetRevision())
		if x.of[bundle].revision == revision {
			continue
		}
		found, err := manifest(ctx, revision)
		if err != nil {
			x.unknown[bundle] = true
			continue
		}
		delete(x.unknown, bundle)
		x.remove(bundle)
		x.add(bundle, revision, found)
	}
}

func (x *index) add(bundle string, revision content.Digest, manifest content.Manifest) {
	entry := indexed{revision: revision}
	for _, item := range manifest.Items {
		if item.Hook != nil {
			if x.hooks[bundle] == nil {
				x.hooks[bundle] = map[content.ObjectID]bool{}
			}
			x.hooks[bundle][item.ObjectID] = true
			continue
		}
		entry.ids = append(entry.ids, item.ObjectID)
		if item.Namespace == "" {
			id := item.ObjectID
			id.Namespace = inventory.DefaultNamespace(manifest.DefaultNamespace)
			entry.ids = append(entry.ids, id)
		}
	}
	for _, id := range entry.ids {
		x.bundles[id] = append(x.bundles[id], bundle)
	}
	x.of[bundle] = entry
}

func (x *index) remove(bundle string) {
	for _, id := range x.of[bundle].ids {
		left := slices.DeleteFunc(slices.Clone(x.bundles[id]), func(other string) bool { return other == bundle })
		if len(left) == 0 {
			delete(x.bundles, id)
		} else {
			x.bundles[id] = left
		}
	}
	delete(x.of, bundle)
	delete(x.hooks, bundle)
}

func (x *index) wants(bundle string, id content.ObjectID) bool {
	return slices.Contains(x.bundles[id], bundle)
}

// other is another bundle that wants an object, or that may.
func (x *index) other(bundle string, id content.ObjectID) (string, bool) {
	for _, other := range x.bundles[id] {
		if other != bundle {
			return other, true
		}
	}
	for other := range x.unknown {
		if other != bundle {
			return other + ", whose content is not held,", true
		}
	}
	return "", false
}

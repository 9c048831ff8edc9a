package render

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/hub/offline"
	hubrender "github.com/periplus-fleet/periplus/hub/render"
)

// The kinds of changes.
const (
	added   = "added"
	removed = "removed"
	changed = "changed"
)

// change of one object of a bundle, on all clusters for which it is the same.
type change struct {
	kind     string
	bundle   string
	clusters []string
	id       content.ObjectID
	source   string
	// before and after are the texts to compare; "" where there is none.
	before, after string
}

// pairKey names a bundle on a cluster.
type pairKey struct{ bundle, cluster string }

// comparison of two renderings.
type comparison struct {
	changes []change
	// unknown pairs could not be rendered on one side, so nothing is said of them.
	unknown []pairKey
}

// compare says what changes for each cluster. A pair that failed on either side is left out: the hub keeps what runs there.
func compare(before, after *offline.Result, showSecrets bool) (comparison, error) {
	var out comparison
	skip := map[pairKey]bool{}
	for _, result := range []*offline.Result{before, after} {
		for _, failure := range result.Failures {
			key := pairKey{offline.Name(failure.Bundle), failure.Cluster.Name}
			if !skip[key] {
				out.unknown = append(out.unknown, key)
			}
			skip[key] = true
		}
	}
	old, now := variants(before), variants(after)
	// Equal pairs of renderings are compared once, for all clusters.
	type both struct {
		bundle     string
		old, after content.Digest
	}
	clusters := map[both][]string{}
	var order []both
	for _, key := range keysOf(old, now) {
		if skip[key] {
			continue
		}
		one := both{key.bundle, digestOf(old[key]), digestOf(now[key])}
		if one.old == one.after {
			continue
		}
		if clusters[one] == nil {
			order = append(order, one)
		}
		clusters[one] = append(clusters[one], key.cluster)
	}
	for _, one := range order {
		at := pairKey{one.bundle, clusters[one][0]}
		found, err := compareVariants(old[at], now[at], showSecrets)
		if err != nil {
			return out, err
		}
		for _, change := range found {
			change.bundle, change.clusters = one.bundle, clusters[one]
			out.add(change)
		}
	}
	return out, nil
}

// add joins equal changes of several renderings.
func (c *comparison) add(one change) {
	for i := range c.changes {
		same := &c.changes[i]
		if same.bundle == one.bundle && same.id == one.id && same.kind == one.kind && same.before == one.before && same.after == one.after {
			same.clusters = append(same.clusters, one.clusters...)
			slices.Sort(same.clusters)
			return
		}
	}
	c.changes = append(c.changes, one)
}

func variants(result *offline.Result) map[pairKey]*hubrender.Variant {
	out := make(map[pairKey]*hubrender.Variant, len(result.Deliveries))
	for _, one := range result.Deliveries {
		out[pairKey{offline.Name(one.Bundle), one.Cluster.Name}] = one.Variant
	}
	return out
}

func keysOf(sides ...map[pairKey]*hubrender.Variant) []pairKey {
	var out []pairKey
	for _, side := range sides {
		for key := range side {
			out = append(out, key)
		}
	}
	slices.SortFunc(out, func(a, b pairKey) int {
		if order := strings.Compare(a.bundle, b.bundle); order != 0 {
			return order
		}
		return strings.Compare(a.cluster, b.cluster)
	})
	return slices.Compact(out)
}

func digestOf(variant *hubrender.Variant) content.Digest {
	if variant == nil {
		return ""
	}
	return variant.Revision
}

// compareVariants compares object by object, in the order of apply; those that go come last, as their removal does.
func compareVariants(old, now *hubrender.Variant, showSecrets bool) ([]change, error) {
	before, after := itemsOf(old), itemsOf(now)
	var out []change
	for _, item := range manifestOf(now) {
		was, had := before[item.ObjectID]
		one := change{kind: added, id: item.ObjectID, source: item.Source}
		if had {
			if same(was, item, old, now) {
				continue
			}
			one.kind = changed
		}
		var err error
		var previous map[string]any
		if had {
			previous = plain(old, was)
			if one.before, err = shown(old, was, showSecrets, plain(now, item), "before"); err != nil {
				return nil, err
			}
		}
		if one.after, err = shown(now, item, showSecrets, previous, "after"); err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	for _, item := range manifestOf(old) {
		if _, still := after[item.ObjectID]; still {
			continue
		}
		text, err := shown(old, item, showSecrets, nil, "")
		if err != nil {
			return nil, err
		}
		out = append(out, change{kind: removed, id: item.ObjectID, source: item.Source, before: text})
	}
	return out, nil
}

func shown(variant *hubrender.Variant, item content.Item, showSecrets bool, other map[string]any, side string) (string, error) {
	one, err := look(variant, item, showSecrets, other, side)
	if err != nil {
		return "", err
	}
	return one.commented()
}

func manifestOf(variant *hubrender.Variant) []content.Item {
	if variant == nil {
		return nil
	}
	return variant.Manifest.Items
}

func itemsOf(variant *hubrender.Variant) map[content.ObjectID]content.Item {
	out := map[content.ObjectID]content.Item{}
	for _, item := range manifestOf(variant) {
		out[item.ObjectID] = item
	}
	return out
}

// same says whether nothing about an object changes; where it was declared does not count.
func same(was, is content.Item, old, now *hubrender.Variant) bool {
	was.Source, is.Source = "", ""
	a, errA := json.Marshal(was)
	b, errB := json.Marshal(is)
	namespaced := is.Namespace != "" || old.Manifest.DefaultNamespace == now.Manifest.DefaultNamespace
	return errA == nil && errB == nil && string(a) == string(b) && namespaced
}

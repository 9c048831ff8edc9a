package control

import (
	"maps"
	"slices"

	"github.com/periplus-fleet/periplus/hub/delivery"
)

// outcomes are what pairs came to, with sums over them that a change of one pair brings up to date.
type outcomes struct {
	of map[pair]outcome
	// bases counts the pairs that need a rendering's base layer, by its key; basesMoved says that one came or went.
	bases      map[string]int
	basesMoved bool
	// warnings counts the pairs of a bundle that a renderer's warning is about; warned are the bundles of which one came or went.
	warnings map[delivery.Key]map[string]int
	warned   map[delivery.Key]bool
	// kinds counts a bundle's pairs by the kinds of their objects.
	kinds map[delivery.Key]map[kinds]int
}

func newOutcomes() *outcomes {
	return &outcomes{of: map[pair]outcome{}, bases: map[string]int{}, warnings: map[delivery.Key]map[string]int{}, warned: map[delivery.Key]bool{},
		kinds: map[delivery.Key]map[kinds]int{}}
}

// put replaces what a pair came to.
func (o *outcomes) put(key pair, result outcome) {
	before := o.of[key]
	o.of[key] = result
	o.count(key, result, 1)
	o.count(key, before, -1)
}

// drop forgets a pair.
func (o *outcomes) drop(key pair) {
	if before, had := o.of[key]; had {
		delete(o.of, key)
		o.count(key, before, -1)
	}
}

// keepOnly forgets all other pairs.
func (o *outcomes) keepOnly(pairs []pair) {
	looked := make(map[pair]bool, len(pairs))
	for _, key := range pairs {
		looked[key] = true
	}
	for key := range o.of {
		if !looked[key] {
			o.drop(key)
		}
	}
}

func (o *outcomes) count(key pair, result outcome, by int) {
	for _, base := range []string{result.base, result.runs} {
		if base != "" && counted(o.bases, base, by) {
			o.basesMoved = true
		}
	}
	for _, warning := range result.warnings {
		if countedIn(o.warnings, key.bundle, warning, by) {
			o.warned[key.bundle] = true
		}
	}
	if result.kinds != noKinds {
		countedIn(o.kinds, key.bundle, result.kinds, by)
	}
}

// countedIn counts within a bundle.
func countedIn[K comparable](all map[delivery.Key]map[K]int, bundle delivery.Key, key K, by int) bool {
	if all[bundle] == nil {
		all[bundle] = map[K]int{}
	}
	moved := counted(all[bundle], key, by)
	if len(all[bundle]) == 0 {
		delete(all, bundle)
	}
	return moved
}

// counted adds to a count and says whether something came or went by that.
func counted[K comparable](counts map[K]int, key K, by int) bool {
	before := counts[key]
	counts[key] += by
	if counts[key] == 0 {
		delete(counts, key)
	}
	return (before == 0) != (counts[key] == 0)
}

// warningsOf a bundle, sorted.
func (o *outcomes) warningsOf(bundle delivery.Key) []string {
	return slices.Sorted(maps.Keys(o.warnings[bundle]))
}

// distinct warnings, in their order; what many files cause is said once.
func distinct(warnings []string) []string {
	if len(warnings) < 2 {
		return warnings
	}
	return slices.Compact(slices.Sorted(slices.Values(warnings)))
}

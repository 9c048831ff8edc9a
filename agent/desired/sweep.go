package desired

import (
	"slices"

	"github.com/periplus-fleet/periplus/api/content"
)

// held is a pack in the cluster, known by its metadata.
type held struct {
	name     string
	manifest bool
	digests  []content.Digest
}

const (
	// smallPack is how many blobs make a pack worth keeping apart.
	smallPack = 100
	// maxSmallPacks are kept before they are joined: each change of a bundle adds one.
	maxSmallPacks = 24
)

// sweep decides what becomes of the packs when only the live digests are needed: packs without any are dropped; packs
// of which less than half is live, and small ones once they are many, are rewritten into larger ones.
func sweep(packs []held, live map[content.Digest]bool) (drop, rewrite []held) {
	small := map[bool][]held{}
	for _, p := range packs {
		alive := 0
		for _, digest := range p.digests {
			if live[digest] {
				alive++
			}
		}
		switch {
		case alive == 0:
			drop = append(drop, p)
		case 2*alive < len(p.digests):
			rewrite = append(rewrite, p)
		case alive < smallPack:
			small[p.manifest] = append(small[p.manifest], p)
		}
	}
	for _, manifest := range []bool{false, true} {
		if len(small[manifest]) > maxSmallPacks {
			rewrite = append(rewrite, small[manifest]...)
		}
	}
	slices.SortFunc(rewrite, func(a, b held) int { return slices.Compare([]string{a.name}, []string{b.name}) })
	return drop, rewrite
}

package desired

import (
	"maps"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// Position says which desired set this is: the life of the hub's store, the generation in it, and the hash of the set.
type Position struct {
	Epoch      string
	Generation uint64
	Hash       content.Hash
}

// Set is a desired set that an agent accepted, or is about to. Whoever holds one treats it as immutable: changes are made
// to a Clone, so that readers need no lock.
type Set struct {
	// FleetID names the fleet that the set belongs to; "" before the first one.
	FleetID string
	// Position of the set; its Hash is content.SetHash of Entries. The zero Position says that nothing was accepted yet.
	Position Position
	// Entries by bundle, "namespace/name".
	Entries map[string]*linkv1.Entry
	// Tombstones by bundle: those that are not yet carried out. No bundle stands in both maps.
	Tombstones map[string]*linkv1.Tombstone
	// Relearning is true from a RelearnRequest until the hub's answer was accepted: drift is repaired, nothing is removed
	// and no revision changes.
	Relearning bool
}

// Clone copies the maps; the entries and tombstones themselves are shared, as nobody changes them.
func (s Set) Clone() Set {
	s.Entries, s.Tombstones = maps.Clone(s.Entries), maps.Clone(s.Tombstones)
	if s.Entries == nil {
		s.Entries = map[string]*linkv1.Entry{}
	}
	if s.Tombstones == nil {
		s.Tombstones = map[string]*linkv1.Tombstone{}
	}
	return s
}

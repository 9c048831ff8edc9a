package desired

import (
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// stateVersion is the version of the state's format; a reader refuses newer ones.
const stateVersion = 1

// state is what the state Secret holds.
type state struct {
	Version     int      `json:"version"`
	FleetID     string   `json:"fleetID"`
	Epoch       string   `json:"epoch"`
	Generation  uint64   `json:"generation"`
	Hash        []byte   `json:"hash"`
	Fingerprint string   `json:"fingerprint"`
	Relearning  bool     `json:"relearning,omitempty"`
	Entries     [][]byte `json:"entries"`
	Tombstones  [][]byte `json:"tombstones,omitempty"`
	// Previous are the revisions of the set before, whose content is kept too.
	Previous []content.Digest `json:"previous,omitempty"`
}

func encodeState(set Set, previous []content.Digest, fingerprint string) ([]byte, error) {
	s := state{Version: stateVersion, FleetID: set.FleetID, Epoch: set.Position.Epoch, Generation: set.Position.Generation,
		Hash: set.Position.Hash[:], Fingerprint: fingerprint, Relearning: set.Relearning, Previous: previous}
	for _, entry := range set.Entries {
		data, err := proto.Marshal(entry)
		if err != nil {
			return nil, fmt.Errorf("cannot encode entry %q: %w", entry.GetBundle(), err)
		}
		s.Entries = append(s.Entries, data)
	}
	for _, tombstone := range set.Tombstones {
		data, err := proto.Marshal(tombstone)
		if err != nil {
			return nil, fmt.Errorf("cannot encode tombstone %q: %w", tombstone.GetBundle(), err)
		}
		s.Tombstones = append(s.Tombstones, data)
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("cannot encode state: %w", err)
	}
	return Compress(raw)
}

// decodeState reads the state. With another fingerprint (the state was copied here from another cluster, or the cluster
// was cloned) the entries are kept, so that nothing that runs is touched, but the position is not: the hub decides anew.
func decodeState(data []byte, fingerprint string) (set Set, previous []content.Digest, foreign bool, err error) {
	raw, err := Decompress(data)
	if err != nil {
		return Set{}, nil, false, fmt.Errorf("cannot decode state: %w", err)
	}
	var s state
	if err := json.Unmarshal(raw, &s); err != nil {
		return Set{}, nil, false, fmt.Errorf("cannot decode state: %w", err)
	}
	if s.Version > stateVersion {
		return Set{}, nil, false, fmt.Errorf("cannot decode state: its version is %d, this agent knows %d: install the newer agent again", s.Version, stateVersion)
	}
	hash, err := content.HashFrom(s.Hash)
	if err != nil {
		return Set{}, nil, false, fmt.Errorf("cannot decode state: %w", err)
	}
	set = Set{FleetID: s.FleetID, Position: Position{Epoch: s.Epoch, Generation: s.Generation, Hash: hash}, Relearning: s.Relearning,
		Entries: map[string]*linkv1.Entry{}, Tombstones: map[string]*linkv1.Tombstone{}}
	for _, data := range s.Entries {
		entry := &linkv1.Entry{}
		if err := proto.Unmarshal(data, entry); err != nil {
			return Set{}, nil, false, fmt.Errorf("cannot decode an entry of the state: %w", err)
		}
		set.Entries[entry.GetBundle()] = entry
	}
	foreign = s.Fingerprint != fingerprint
	if foreign {
		set.Position, set.Relearning = Position{}, true
		return set, s.Previous, true, nil
	}
	for _, data := range s.Tombstones {
		tombstone := &linkv1.Tombstone{}
		if err := proto.Unmarshal(data, tombstone); err != nil {
			return Set{}, nil, false, fmt.Errorf("cannot decode a tombstone of the state: %w", err)
		}
		set.Tombstones[tombstone.GetBundle()] = tombstone
	}
	return set, s.Previous, false, nil
}

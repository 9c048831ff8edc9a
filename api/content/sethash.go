package content

import (
	"crypto/sha256"
	"fmt"
	"math/bits"
	"slices"

	"encoding/binary"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"google.golang.org/protobuf/proto"
)

// Hash is a 256-bit number, big-endian.
type Hash [sha256.Size]byte

// HashFrom reads a hash off the wire; empty is the empty set's.
func HashFrom(data []byte) (Hash, error) {
	var h Hash
	if len(data) == 0 {
		return h, nil
	}
	if len(data) != len(h) {
		return h, fmt.Errorf("a set hash has %d bytes, not %d", len(h), len(data))
	}
	copy(h[:], data)
	return h, nil
}

// Add is h + other mod 2^256: what a set's hash becomes when an entry comes.
func (h Hash) Add(other Hash) Hash {
	var carry uint64
	for i := 3; i >= 0; i-- {
		var sum uint64
		sum, carry = bits.Add64(binary.BigEndian.Uint64(h[i*8:]), binary.BigEndian.Uint64(other[i*8:]), carry)
		binary.BigEndian.PutUint64(h[i*8:], sum)
	}
	return h
}

// Sub is h - other mod 2^256: what a set's hash becomes when an entry leaves.
func (h Hash) Sub(other Hash) Hash {
	var borrow uint64
	for i := 3; i >= 0; i-- {
		var diff uint64
		diff, borrow = bits.Sub64(binary.BigEndian.Uint64(h[i*8:]), binary.BigEndian.Uint64(other[i*8:]), borrow)
		binary.BigEndian.PutUint64(h[i*8:], diff)
	}
	return h
}

// EntryHash is the hash of what an entry means: bundle, revision, options and required capabilities. Fields for people
// (the commit) are not in it.
func EntryHash(entry *linkv1.Entry) Hash {
	bare := &linkv1.Entry{
		Bundle: entry.GetBundle(), Revision: entry.GetRevision(), Options: entry.GetOptions(),
		RequiredCapabilities: slices.Sorted(slices.Values(entry.GetRequiredCapabilities())),
	}
	// Deterministic holds within one build of the library; the encoding of a message without maps and unknown fields is the
	// same in every build, field by field in order.
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(bare)
	if err != nil {
		// Only invalid UTF-8 can fail here; such an entry equals no other and is refused when it is read.
		return Hash(sha256.Sum256([]byte(err.Error())))
	}
	return Hash(sha256.Sum256(data))
}

// SetHash is the hash of a set of entries.
func SetHash[E interface{ ~map[string]*linkv1.Entry }](entries E) Hash {
	var sum Hash
	for _, entry := range entries {
		sum = sum.Add(EntryHash(entry))
	}
	return sum
}

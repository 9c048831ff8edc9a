package engine

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// memory remembers what rules and functions gave within one evaluation, as OPA's own cache does, but in one list that the next
// evaluation uses again: most evaluations remember a handful, for which a tree of maps costs more than it saves.
type memory struct {
	// frames begin at an entry: with replaces input or data for a while.
	frames  []int
	entries []entry
	// at finds the last entry with a hash; it is made when there are many.
	at map[uint64]int
}

type entry struct {
	hash      uint64
	length    int
	short     [5]*ast.Term
	long      []*ast.Term
	value     *ast.Term
	undefined bool
}

var _ topdown.VirtualCache = &memory{}

// reset forgets everything.
func (m *memory) reset() *memory {
	clear(m.entries)
	m.entries, m.frames = m.entries[:0], append(m.frames[:0], 0)
	m.at = nil
	return m
}

// many is the number of entries from which on they are found by hash.
const many = 24

func hashOf(ref ast.Ref) uint64 {
	hash := uint64(len(ref))
	for _, term := range ref {
		hash = hash*1099511628211 ^ uint64(term.Hash())
	}
	return hash
}

func (e *entry) is(hash uint64, ref ast.Ref) bool {
	if e.hash != hash || e.length != len(ref) {
		return false
	}
	terms := e.long
	if terms == nil {
		terms = e.short[:e.length]
	}
	return slices.EqualFunc(terms, ref, (*ast.Term).Equal)
}

func (m *memory) find(hash uint64, ref ast.Ref) *entry {
	from := m.frames[len(m.frames)-1]
	if m.at != nil {
		// Where two have the same hash, the list decides.
		last, known := m.at[hash]
		if !known || last < from {
			return nil
		}
		if m.entries[last].is(hash, ref) {
			return &m.entries[last]
		}
	}
	for i := len(m.entries) - 1; i >= from; i-- {
		if m.entries[i].is(hash, ref) {
			return &m.entries[i]
		}
	}
	return nil
}

// Get is OPA's: nil and true for what is known to be undefined, nil and false for what is not known.
func (m *memory) Get(ref ast.Ref) (*ast.Term, bool) {
	found := m.find(hashOf(ref), ref)
	switch {
	case found == nil:
		return nil, false
	case found.undefined:
		return nil, true
	}
	return found.value, false
}

// Put is OPA's: a nil value is undefined.
func (m *memory) Put(ref ast.Ref, value *ast.Term) {
	hash := hashOf(ref)
	found := m.find(hash, ref)
	if found == nil {
		// The caller goes on to change the reference.
		one := entry{hash: hash, length: len(ref)}
		if copy(one.short[:], ref) < len(ref) {
			one.long = slices.Clone(ref)
		}
		m.entries = append(m.entries, one)
		found = &m.entries[len(m.entries)-1]
		m.index(hash)
	}
	if value == nil {
		found.undefined = true
	} else {
		found.value = value
	}
}

func (m *memory) index(hash uint64) {
	switch {
	case m.at != nil:
		m.at[hash] = len(m.entries) - 1
	case len(m.entries) >= many:
		m.at = make(map[uint64]int, 2*many)
		for i := range m.entries {
			m.at[m.entries[i].hash] = i
		}
	}
}

// Push begins a frame in which nothing is known.
func (m *memory) Push() { m.frames = append(m.frames, len(m.entries)) }

// Pop forgets what became known in the frame.
func (m *memory) Pop() {
	from := m.frames[len(m.frames)-1]
	m.frames = m.frames[:len(m.frames)-1]
	clear(m.entries[from:])
	m.entries = m.entries[:from]
	// What the frame covered is found again by a new index, which the next entry makes.
	m.at = nil
}

// Keys of the frame.
func (m *memory) Keys() []ast.Ref {
	var keys []ast.Ref
	for _, e := range m.entries[m.frames[len(m.frames)-1]:] {
		if e.value == nil {
			continue
		}
		if e.long != nil {
			keys = append(keys, slices.Clone(ast.Ref(e.long)))
		} else {
			keys = append(keys, slices.Clone(ast.Ref(e.short[:e.length])))
		}
	}
	return keys
}

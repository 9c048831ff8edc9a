package link

import (
	"maps"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// maxEvents is how many events of a bundle wait; older ones go first.
const maxEvents = 100

// mailbox takes what the rest of the agent reports, coalesced by bundle, so that nobody ever waits for the link.
type mailbox struct {
	wake chan struct{}

	mu       *sync.Mutex
	statuses map[string]*linkv1.BundleStatus
	removed  map[string]bool
	facts    *linkv1.Facts
}

// mail is what waited.
type mail struct {
	statuses []*linkv1.BundleStatus
	removed  []string
	facts    *linkv1.Facts
}

func newMailbox() mailbox {
	return mailbox{wake: make(chan struct{}, 1), mu: &sync.Mutex{}, statuses: map[string]*linkv1.BundleStatus{}, removed: map[string]bool{}}
}

func (m *mailbox) report(status *linkv1.BundleStatus) {
	status = proto.CloneOf(status)
	m.mu.Lock()
	if waiting := m.statuses[status.GetBundle()]; waiting != nil {
		status.Events = slices.Concat(waiting.GetEvents(), status.GetEvents())
	}
	if n := len(status.GetEvents()); n > maxEvents {
		status.Events = status.GetEvents()[n-maxEvents:]
	}
	m.statuses[status.GetBundle()] = status
	m.mu.Unlock()
	m.signal()
}

func (m *mailbox) remove(bundle string) {
	m.mu.Lock()
	delete(m.statuses, bundle)
	m.removed[bundle] = true
	m.mu.Unlock()
	m.signal()
}

func (m *mailbox) setFacts(facts *linkv1.Facts) {
	facts = proto.CloneOf(facts)
	m.mu.Lock()
	m.facts = facts
	m.mu.Unlock()
	m.signal()
}

func (m *mailbox) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() mail {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := mail{removed: slices.Sorted(maps.Keys(m.removed)), facts: m.facts}
	for _, bundle := range slices.Sorted(maps.Keys(m.statuses)) {
		taken.statuses = append(taken.statuses, m.statuses[bundle])
	}
	clear(m.statuses)
	clear(m.removed)
	m.facts = nil
	return taken
}

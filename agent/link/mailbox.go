package link

import (
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// maxEvents is how many events of a bundle wait; older ones go first.
const maxEvents = 100

// mailbox takes what the rest of the agent reports, coalesced by bundle, so that nobody ever waits for the link. What a
// bundle reports goes out at once, unless it reports all the time: then only the newest, a few times a second.
type mailbox struct {
	wake chan struct{}

	mu       *sync.Mutex
	statuses map[string]*linkv1.BundleStatus
	removed  map[string]bool
	facts    *linkv1.Facts
	findings []*linkv1.PolicyReport
	// buckets of bundles that reported lately.
	buckets map[string]*bucket
	now     func() time.Time
}

// mail is what waited.
type mail struct {
	statuses []*linkv1.BundleStatus
	removed  []string
	facts    *linkv1.Facts
	findings []*linkv1.PolicyReport
	// later is when more may be taken, 0 when nothing waits.
	later time.Duration
}

func newMailbox() mailbox {
	return mailbox{wake: make(chan struct{}, 1), mu: &sync.Mutex{}, statuses: map[string]*linkv1.BundleStatus{}, removed: map[string]bool{},
		buckets: map[string]*bucket{}, now: time.Now}
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

func (m *mailbox) reportPolicy(report *linkv1.PolicyReport) {
	m.mu.Lock()
	m.findings = append(m.findings, report)
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
	taken := mail{removed: slices.Sorted(maps.Keys(m.removed)), facts: m.facts, findings: m.findings}
	now := m.now()
	for _, bundle := range slices.Sorted(maps.Keys(m.statuses)) {
		if m.buckets[bundle] == nil {
			m.buckets[bundle] = newBucket(now)
		}
		if wait := m.buckets[bundle].take(now); wait > 0 {
			taken.later = soonest(taken.later, wait)
			continue
		}
		taken.statuses = append(taken.statuses, m.statuses[bundle])
		delete(m.statuses, bundle)
	}
	maps.DeleteFunc(m.buckets, func(_ string, b *bucket) bool { return b.full(now) })
	clear(m.removed)
	m.facts, m.findings = nil, nil
	return taken
}

package session

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

const (
	// maxEvents is how many events a bundle keeps until they are acknowledged; older ones go first.
	maxEvents = 100
	// maxReport bounds one report, in encoded bytes; what does not fit goes with the next.
	maxReport = 1 << 20
)

// book keeps the newest status of each bundle and what of it the hub has acknowledged. One report is on its way at a time:
// while the hub is slow, changes coalesce by bundle, so the book is bounded by the number of bundles.
type book struct {
	session, sequence uint64
	current           map[string]*linkv1.BundleStatus
	events            map[string][]*linkv1.ObjectEvent
	dirty             map[string]bool
	// removed are removals still to be said; carried are all that this process carried out, which a full report says again.
	removed, carried map[string]bool
	facts            *linkv1.Facts
	factsDirty       bool
	findings         findings
	// full is set while the first report of a session is still to be sent.
	full bool

	flying *linkv1.StatusReport
	age    int
	acked  map[string]content.Hash
	sum    content.Hash
}

func newBook() book {
	return book{current: map[string]*linkv1.BundleStatus{}, events: map[string][]*linkv1.ObjectEvent{}, dirty: map[string]bool{},
		removed: map[string]bool{}, carried: map[string]bool{}, acked: map[string]content.Hash{}, findings: newFindings()}
}

// reset ends a session: what was not acknowledged goes with the next one's full report.
func (b *book) reset() {
	b.recall()
	b.session, b.sequence, b.full = 0, 0, false
	clear(b.acked)
	b.sum = content.Hash{}
}

// recall takes back the report on its way.
func (b *book) recall() {
	if b.flying == nil {
		return
	}
	for _, status := range b.flying.GetBundles() {
		bundle := status.GetBundle()
		b.dirty[bundle] = b.current[bundle] != nil
		b.events[bundle] = bound(slices.Concat(status.GetEvents(), b.events[bundle]))
	}
	for _, bundle := range b.flying.GetRemoved() {
		if b.current[bundle] == nil {
			b.removed[bundle] = true
		}
	}
	b.factsDirty = b.factsDirty || b.flying.GetFacts() != nil
	b.findings.recall(b.flying.GetPolicy())
	b.flying = nil
}

func (b *book) begin(session uint64) {
	b.session, b.sequence = session, 0
	b.resendAll()
}

// resendAll makes the next report say everything.
func (b *book) resendAll() {
	b.recall()
	b.full, b.factsDirty = true, b.facts != nil
	b.findings.resendAll()
	maps.Copy(b.removed, b.carried)
	for bundle := range b.current {
		b.dirty[bundle] = true
	}
}

func (b *book) report(status *linkv1.BundleStatus) {
	bundle := status.GetBundle()
	kept := proto.CloneOf(status)
	b.events[bundle] = bound(append(b.events[bundle], kept.GetEvents()...))
	kept.Events = nil
	if len(status.GetEvents()) == 0 && proto.Equal(b.current[bundle], kept) {
		return
	}
	b.current[bundle], b.dirty[bundle] = kept, true
}

func bound(events []*linkv1.ObjectEvent) []*linkv1.ObjectEvent {
	if len(events) > maxEvents {
		events = events[len(events)-maxEvents:]
	}
	return events
}

func (b *book) remove(bundle string) {
	delete(b.current, bundle)
	delete(b.dirty, bundle)
	b.removed[bundle], b.carried[bundle] = true, true
}

// back forgets the removal of a bundle that the hub wants again.
func (b *book) back(bundle string) {
	delete(b.removed, bundle)
	delete(b.carried, bundle)
}

func (b *book) setFacts(facts *linkv1.Facts) {
	if !proto.Equal(b.facts, facts) {
		b.facts, b.factsDirty = proto.CloneOf(facts), true
	}
}

// next is the report to send now; nil while one is on its way or nothing changed.
func (b *book) next() *linkv1.StatusReport {
	if b.flying != nil || !b.full && !b.factsDirty && len(b.dirty) == 0 && len(b.removed) == 0 && !b.findings.waiting() {
		return nil
	}
	b.sequence++
	report := &linkv1.StatusReport{Session: b.session, Sequence: b.sequence, Full: b.full, Removed: slices.Sorted(maps.Keys(b.removed))}
	if b.factsDirty {
		report.Facts = b.facts
	}
	size := 0
	for _, bundle := range slices.Sorted(maps.Keys(b.dirty)) {
		status := proto.CloneOf(b.current[bundle])
		delete(b.dirty, bundle)
		if status == nil {
			continue
		}
		status.Events = b.events[bundle]
		delete(b.events, bundle)
		report.Bundles = append(report.Bundles, status)
		if size += proto.Size(status); size > maxReport {
			break
		}
	}
	if size < maxReport {
		report.Policy = b.findings.next(maxReport - size)
	}
	if b.full {
		clear(b.acked)
		b.sum = content.Hash{}
	}
	clear(b.removed)
	b.full, b.factsDirty, b.flying, b.age = false, false, report, 0
	return report
}

// overdue is the report on its way, when its acknowledgement is late: the same one goes again.
func (b *book) overdue() *linkv1.StatusReport {
	if b.flying == nil {
		return nil
	}
	if b.age++; b.age < resendTicks {
		return nil
	}
	b.age = 0
	return b.flying
}

// acknowledge says which removals the hub now knows of.
func (b *book) acknowledge(sequence uint64) (removed []string) {
	if b.flying == nil || b.flying.GetSequence() != sequence {
		return nil
	}
	for _, status := range b.flying.GetBundles() {
		b.acknowledged(status.GetBundle(), content.StatusHash(status))
	}
	for _, bundle := range b.flying.GetRemoved() {
		b.acknowledged(bundle, content.Hash{})
	}
	removed = b.flying.GetRemoved()
	b.flying = nil
	return removed
}

func (b *book) acknowledged(bundle string, hash content.Hash) {
	b.sum = b.sum.Sub(b.acked[bundle]).Add(hash)
	b.acked[bundle] = hash
	if hash == (content.Hash{}) {
		delete(b.acked, bundle)
	}
}

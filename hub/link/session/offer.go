package session

import (
	"math/bits"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
)

// maxMessage bounds one message of entries, in encoded bytes; a delta above it becomes an index, whose entries come in parts.
const maxMessage = 1 << 20

// HeadRead answers a Head.
func (m *Machine) HeadRead(head Head, err error) Output {
	m.reading = false
	if err != nil {
		return m.failed(err)
	}
	if head.Desired.Epoch != m.config.Epoch {
		// Welcome named another life of the store: the agent has to hear of the new one.
		return m.close(codes.Aborted, ReasonEpoch)
	}
	first := !m.headRead
	moved := head.Desired != m.head.Desired
	m.head, m.headRead = head, true
	if m.relearning && m.saved && !head.Relearn {
		// Control answered the agent's report. The index goes whole, as the agent may hold what no delta knows of.
		m.relearning, m.asked, m.saved = false, false, false
		m.readWhole(forIndex)
		return m.take()
	}
	if m.relearning && m.saved {
		return m.readAgain()
	}
	if m.offer != nil && !first && !head.Relearn {
		// One offer at a time; what is newer goes when this one is accepted.
		return m.readAgain()
	}
	m.decideNow(moved && !first)
	if !m.reading {
		return m.readAgain()
	}
	return m.take()
}

// decideNow starts the next step. changed says that the desired set moved within this stream, so that what was refused at the
// generation before is no explanation any more.
func (m *Machine) decideNow(changed bool) {
	explained := len(m.refused) > 0
	next, reason := decide(m.agent, explained, m.head)
	if first := m.offered == (delivery.Position{}); next == stepNothing && explained && first && !changed {
		// A new stream may be a newer agent: it looks at what it refused once more.
		next = stepIndex
	}
	m.relearning = next == stepRelearn
	switch next {
	case stepNothing:
		m.offer = nil
		if m.agent == m.head.Desired && m.head.Recorded != m.agent {
			m.record(nil)
		}
	case stepDelta:
		base := m.agent
		m.reading = true
		m.store(Request{Since: &base})
	case stepIndex:
		m.readWhole(forIndex)
	case stepRelearn:
		m.askRelearn(reason)
	}
}

func (m *Machine) readAgain() Output {
	if m.again {
		m.read()
	}
	return m.take()
}

// SinceRead answers a Since; ok says that the base is on record.
func (m *Machine) SinceRead(changes Desired, ok bool, err error) Output {
	m.reading = false
	if err != nil {
		return m.failed(err)
	}
	if !ok {
		m.readWhole(forIndex)
		return m.take()
	}
	delta := &linkv1.Delta{Base: m.agent.Proto(), Target: changes.Position.Proto(), Upserts: changes.Entries, Tombstones: changes.Tombstones}
	if changes.Relearn || changes.Position.Epoch != m.config.Epoch {
		m.again = true
		return m.readAgain()
	}
	if proto.Size(delta) > maxMessage {
		m.readWhole(forIndex)
		return m.take()
	}
	m.offerNow(changes.Position)
	m.send(&linkv1.HubMessage{Message: &linkv1.HubMessage_Delta{Delta: delta}})
	return m.readAgain()
}

// WholeRead answers a Whole.
func (m *Machine) WholeRead(set Desired, err error) Output {
	m.reading = false
	if err != nil {
		return m.failed(err)
	}
	if set.Relearn || set.Position.Epoch != m.config.Epoch {
		m.again, m.want = true, nil
		return m.readAgain()
	}
	m.head.Desired = set.Position
	want := m.want
	m.want = nil
	if m.whole == forEntries && want != nil && sameWire(want.GetTarget(), set.Position) {
		m.sendEntries(set, want.GetBundles())
		return m.readAgain()
	}
	index := &linkv1.Index{Target: set.Position.Proto(), Tombstones: set.Tombstones}
	for _, entry := range set.Entries {
		hash := content.EntryHash(entry)
		index.Items = append(index.Items, &linkv1.IndexItem{Bundle: entry.GetBundle(), Hash: hash[:]})
	}
	m.offerNow(set.Position)
	m.send(&linkv1.HubMessage{Message: &linkv1.HubMessage_Index{Index: index}})
	return m.readAgain()
}

func (m *Machine) offerNow(target delivery.Position) {
	m.head.Desired = target
	if m.offered != target {
		m.missed = 0
	}
	m.offer, m.offered = &target, target
}

func (m *Machine) sendEntries(set Desired, bundles []string) {
	asked := make(map[string]bool, len(bundles))
	for _, bundle := range bundles {
		asked[bundle] = true
	}
	part, size := &linkv1.Entries{Target: set.Position.Proto()}, 0
	for _, entry := range set.Entries {
		if !asked[entry.GetBundle()] {
			continue
		}
		part.Entries = append(part.Entries, entry)
		if size += proto.Size(entry); size > maxMessage {
			m.send(&linkv1.HubMessage{Message: &linkv1.HubMessage_Entries{Entries: part}})
			part, size = &linkv1.Entries{Target: set.Position.Proto()}, 0
		}
	}
	if len(part.Entries) > 0 {
		m.send(&linkv1.HubMessage{Message: &linkv1.HubMessage_Entries{Entries: part}})
	}
}

func sameWire(p *linkv1.Position, q delivery.Position) bool {
	parsed, err := position(p)
	return err == nil && parsed == q
}

func (m *Machine) receiveWant(want *linkv1.Want) {
	if m.session == 0 || m.relearning {
		return // the agent hears what is desired once it is relearned
	}
	if !m.headRead {
		return // the first offer is on its way
	}
	why := forEntries
	if len(want.GetBundles()) == 0 {
		// The agent says its position with it; that it is to be offered the whole says nothing of what is on record.
		if accepted, err := position(want.GetTarget()); err == nil && accepted != m.agent {
			if next, reason := decide(accepted, true, m.head); next == stepRelearn {
				m.agent = accepted
				m.askRelearn(reason)
				return
			}
		}
		why = forIndex
	}
	m.want = want
	m.readWhole(why)
}

func (m *Machine) receiveAccepted(accepted *linkv1.Accepted) {
	p, err := position(accepted.GetPosition())
	if err != nil {
		m.close(codes.InvalidArgument, err.Error())
		return
	}
	m.heard(p, accepted.GetRefused(), true)
}

// heard compares what the agent says with what was offered, and records it when it answers an offer of this stream. Any other
// position must not become known by being said: an unknown one is relearned.
func (m *Machine) heard(p delivery.Position, refused []*linkv1.Refused, explicit bool) {
	if explicit || p != m.agent {
		m.refused = refused
	}
	m.agent = p
	if !m.headRead || m.relearning {
		return
	}
	answers := m.offered.Epoch == p.Epoch && m.offered.Generation == p.Generation && (m.offered.SetHash == p.SetHash || len(m.refused) > 0)
	switch {
	case answers && (m.offer != nil || explicit || m.head.Recorded != p):
		m.offer, m.missed = nil, 0
		if explicit || m.head.Recorded != p {
			m.record(m.refused)
		}
	case answers, m.settled():
	case m.offer == nil:
		m.read()
	}
}

// record notes the accepted position; the answer brings the next step when the desired set moved meanwhile.
func (m *Machine) record(refused []*linkv1.Refused) {
	m.store(Request{Accept: &Accept{Position: m.agent, Refused: refused}})
}

// Accepted answers an Accept.
func (m *Machine) Accepted(accept Accept, err error) Output {
	if err != nil {
		return m.failed(err)
	}
	m.head.Recorded = accept.Position
	m.read()
	return m.take()
}

func (m *Machine) receiveHeartbeat(beat *linkv1.AgentHeartbeat) {
	if m.session == 0 {
		return
	}
	p, err := position(beat.GetAccepted())
	if err != nil {
		m.close(codes.InvalidArgument, err.Error())
		return
	}
	if hash, err := content.HashFrom(beat.GetStatusHash()); err != nil || m.reports == 0 && !m.status.matches(hash) {
		m.wantFull = true
	}
	m.heard(p, nil, false)
	switch {
	case m.relearning:
		// The answer may not raise the generation, so that no poll sees it.
		m.missed++
		if !m.saved && powerOfTwo(m.missed) {
			m.asked = false
		}
		m.read()
	case m.offer != nil:
		m.repair()
	}
}

// repair offers again what is not accepted for long: by part first, then whole, less and less often, as the agent may just
// be fetching much.
func (m *Machine) repair() {
	m.missed++
	switch {
	case m.missed < 2 || !powerOfTwo(m.missed) || m.reading:
	case m.missed == 2:
		m.offer = nil
		m.read()
	default:
		m.readWhole(forIndex)
	}
}

func powerOfTwo(n int) bool { return bits.OnesCount(uint(n)) == 1 }

package session

import (
	"fmt"
	"maps"
	"slices"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// refusal is an entry that the agent cannot carry out: what the hub wants, and why not.
type refusal struct {
	entry  *linkv1.Entry
	reason string
	// retry is set where another try may help: the content could not be fetched.
	retry bool
}

// job is one change of the accepted set on its way: first its content is fetched, then it is made durable.
type job struct {
	id      uint64
	storing bool
	// relearn is set for the job that only marks the accepted set as relearning.
	relearn bool
	target  desired.Position
	next    desired.Set
	refused map[string]refusal
}

// index is a whole desired set of which entries are still to come.
type index struct {
	target     desired.Position
	items      map[string]content.Hash
	tombstones map[string]*linkv1.Tombstone
	entries    map[string]*linkv1.Entry
	age        int
}

func (m *Machine) receiveDelta(delta *linkv1.Delta) {
	base, errBase := position(delta.GetBase())
	target, errTarget := position(delta.GetTarget())
	if errBase != nil || errTarget != nil {
		m.out.Close = fmt.Errorf("%w: a delta with a bad hash", ErrProtocol)
		return
	}
	if m.stale(target) || m.relearn != nil {
		return
	}
	if m.job != nil {
		if m.job.target != target {
			m.askWhole = true
		}
		return
	}
	if target == m.accepted.Position {
		m.sendAccepted()
		return
	}
	if base != m.accepted.Position {
		m.askWhole = true
		m.wantWhole()
		return
	}
	wanted, tombstones := m.wanted(), maps.Clone(m.accepted.Tombstones)
	for _, tombstone := range delta.GetTombstones() {
		delete(wanted, tombstone.GetBundle())
		tombstones[tombstone.GetBundle()] = tombstone
	}
	for _, entry := range delta.GetUpserts() {
		wanted[entry.GetBundle()] = entry
		delete(tombstones, entry.GetBundle())
	}
	m.adopt(target, wanted, tombstones)
}

// wanted is what the hub asked for at the accepted position: the accepted entries, and those that were refused.
func (m *Machine) wanted() map[string]*linkv1.Entry {
	wanted := maps.Clone(m.accepted.Entries)
	for bundle, refusal := range m.refused {
		wanted[bundle] = refusal.entry
	}
	return wanted
}

// stale says whether a target cannot be meant for this stream any more: it is of another life of the store, or older than
// what is accepted. Only an answered relearning goes back in generations.
func (m *Machine) stale(target desired.Position) bool {
	return target.Epoch != m.welcome.GetEpoch() ||
		target.Epoch == m.accepted.Position.Epoch && target.Generation < m.accepted.Position.Generation && !m.accepted.Relearning
}

func (m *Machine) receiveIndex(message *linkv1.Index) {
	target, err := position(message.GetTarget())
	if err != nil {
		m.out.Close = fmt.Errorf("%w: an index with a bad hash", ErrProtocol)
		return
	}
	if m.stale(target) || m.relearn != nil {
		return
	}
	if m.job != nil {
		switch {
		case !m.job.relearn && m.job.target == target:
			return
		case m.job.storing:
			m.queued = message
			return
		}
		m.job = nil // a fetch for what is no longer wanted
	}
	m.askWhole = false
	next := &index{target: target, items: map[string]content.Hash{}, tombstones: map[string]*linkv1.Tombstone{}, entries: map[string]*linkv1.Entry{}}
	for _, tombstone := range message.GetTombstones() {
		next.tombstones[tombstone.GetBundle()] = tombstone
	}
	for _, item := range message.GetItems() {
		hash, err := content.HashFrom(item.GetHash())
		if err != nil {
			m.out.Close = fmt.Errorf("%w: an index with a bad hash", ErrProtocol)
			return
		}
		next.items[item.GetBundle()] = hash
		delete(next.tombstones, item.GetBundle())
	}
	if m.unaccounted(next) || m.foreign() {
		// Absence is never a cause: the hub has to learn what runs here before anything changes.
		m.index = nil
		if m.told {
			return // the report is on its way; the hub asks or offers again
		}
		m.told = true
		m.beginRelearn(&linkv1.RelearnRequest{Epoch: target.Epoch, Reason: "the index leaves out what this cluster runs"})
		return
	}
	m.index = next
	m.advanceIndex()
}

// unaccounted says whether an accepted bundle stands neither in the index nor among its tombstones.
func (m *Machine) unaccounted(next *index) bool {
	for bundle := range m.accepted.Entries {
		_, item := next.items[bundle]
		if !item && next.tombstones[bundle] == nil {
			return true
		}
	}
	return false
}

// foreign says whether the accepted set came from another cluster (a clone, a restore) and the hub does not know yet.
func (m *Machine) foreign() bool {
	return m.accepted.Relearning && m.accepted.Position.Epoch == "" && len(m.accepted.Entries) > 0 && !m.reported
}

// advanceIndex asks for what is missing, or adopts the index when nothing is.
func (m *Machine) advanceIndex() {
	wanted, missing := map[string]*linkv1.Entry{}, []string{}
	for bundle, hash := range m.index.items {
		if entry := m.index.entries[bundle]; entry != nil {
			wanted[bundle] = entry
		} else if entry := m.accepted.Entries[bundle]; entry != nil && content.EntryHash(entry) == hash {
			wanted[bundle] = entry
		} else {
			missing = append(missing, bundle)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		m.send(&linkv1.AgentMessage{Message: &linkv1.AgentMessage_Want{Want: &linkv1.Want{Target: wire(m.index.target), Bundles: missing}}})
		return
	}
	// A tombstone that was accepted had a cause; the hub forgets it when it hears that it was carried out, which may still be
	// on its way.
	tombstones := m.index.tombstones
	for bundle, tombstone := range m.accepted.Tombstones {
		if wanted[bundle] == nil && tombstones[bundle] == nil {
			tombstones[bundle] = tombstone
		}
	}
	target := m.index.target
	m.index, m.refused = nil, map[string]refusal{}
	m.adopt(target, wanted, tombstones)
}

func (m *Machine) receiveEntries(entries *linkv1.Entries) {
	target, err := position(entries.GetTarget())
	if err != nil || m.index == nil || m.index.target != target || m.job != nil {
		return // an answer to an older question
	}
	added := 0
	for _, entry := range entries.GetEntries() {
		if hash, ok := m.index.items[entry.GetBundle()]; ok && content.EntryHash(entry) == hash && m.index.entries[entry.GetBundle()] == nil {
			m.index.entries[entry.GetBundle()] = entry
			added++
		}
	}
	if added == 0 {
		return
	}
	m.index.age = 0
	for bundle, hash := range m.index.items {
		held := m.accepted.Entries[bundle]
		if m.index.entries[bundle] == nil && (held == nil || content.EntryHash(held) != hash) {
			return // more of them come
		}
	}
	m.advanceIndex()
}

// adopt starts the way to a wanted set. Its hash is checked first: what does not add up is asked for whole.
func (m *Machine) adopt(target desired.Position, wanted map[string]*linkv1.Entry, tombstones map[string]*linkv1.Tombstone) {
	if content.SetHash(wanted) != target.Hash {
		m.askWhole = true
		m.wantWhole()
		return
	}
	next := desired.Set{FleetID: m.welcome.GetFleetId(), Position: target, Entries: wanted, Tombstones: tombstones}
	refused, changed := map[string]refusal{}, []*linkv1.Entry{}
	for _, bundle := range slices.Sorted(maps.Keys(wanted)) {
		entry, held := wanted[bundle], m.accepted.Entries[bundle]
		if held != nil && content.EntryHash(held) == content.EntryHash(entry) {
			continue
		}
		if reason := m.refuses(entry); reason != "" {
			refused[bundle] = refusal{entry: entry, reason: reason}
			continue
		}
		changed = append(changed, entry)
	}
	m.jobID++
	m.job = &job{id: m.jobID, target: target, next: next, refused: refused}
	if len(changed) == 0 {
		m.store()
		return
	}
	m.out.Fetch = &Fetch{ID: m.job.id, Entries: changed}
}

// Fetched answers a Fetch: failed says per bundle why its content cannot be had; err is set when the hub cannot be reached.
func (m *Machine) Fetched(id uint64, failed map[string]string, err error) Output {
	if m.job == nil || m.job.id != id || m.job.storing {
		return Output{}
	}
	if err != nil {
		m.job = nil
		m.askWhole = true
		return m.take()
	}
	for bundle, reason := range failed {
		if entry := m.job.next.Entries[bundle]; entry != nil {
			m.job.refused[bundle] = refusal{entry: entry, reason: reason, retry: true}
		}
	}
	m.store()
	return m.take()
}

// store makes the job's set durable, with the old entry where the new one is refused.
func (m *Machine) store() {
	next := &m.job.next
	for bundle := range m.job.refused {
		delete(next.Entries, bundle)
		if held := m.accepted.Entries[bundle]; held != nil {
			next.Entries[bundle] = held
		}
	}
	next.Position.Hash = content.SetHash(next.Entries)
	m.job.storing = true
	if same(m.accepted, *next) {
		m.stored()
		return
	}
	m.out.Accept = &Accept{ID: m.job.id, Set: next.Clone()}
}

// same says whether making next durable would change nothing. Entries are covered by the hash; tombstones by generation.
func same(a, b desired.Set) bool {
	return a.FleetID == b.FleetID && a.Position == b.Position && a.Relearning == b.Relearning &&
		maps.EqualFunc(a.Tombstones, b.Tombstones, func(x, y *linkv1.Tombstone) bool {
			return x.GetGeneration() == y.GetGeneration() && x.GetConfirmed() == y.GetConfirmed() && x.GetOrphan() == y.GetOrphan()
		})
}

// Stored answers an Accept.
func (m *Machine) Stored(id uint64, err error) Output {
	if m.job == nil || m.job.id != id || !m.job.storing {
		return Output{}
	}
	if err != nil {
		m.job = nil
		m.askWhole = true
		m.afterJob()
		return m.take()
	}
	m.stored()
	return m.take()
}

func (m *Machine) stored() {
	done := m.job
	m.job = nil
	m.accepted = done.next
	if done.relearn {
		m.sendRelearn()
	} else {
		m.refused, m.retry = done.refused, 0
		for bundle := range m.accepted.Entries {
			m.status.back(bundle)
		}
		m.sendAccepted()
	}
	m.afterJob()
}

// afterJob takes up what came while the job ran.
func (m *Machine) afterJob() {
	if !m.Connected() {
		return
	}
	if request := m.relearn; request != nil {
		m.relearn = nil
		m.queued = nil
		m.beginRelearn(request)
		return
	}
	if queued := m.queued; queued != nil {
		m.queued = nil
		m.receiveIndex(queued)
		return
	}
	m.wantWhole()
}

func (m *Machine) sendAccepted() {
	if !m.Connected() {
		return // the next Hello says it
	}
	m.send(&linkv1.AgentMessage{Message: &linkv1.AgentMessage_Accepted{Accepted: &linkv1.Accepted{
		Position: wire(m.accepted.Position), Refused: refusedList(m.refused)}}})
}

// wantWhole asks for the index, at most once a tick, so that two sides that disagree do not spin.
func (m *Machine) wantWhole() {
	if !m.askWhole || m.asked || m.job != nil || !m.Connected() {
		return
	}
	m.askWhole, m.asked, m.index = false, true, nil
	m.send(&linkv1.AgentMessage{Message: &linkv1.AgentMessage_Want{Want: &linkv1.Want{Target: wire(m.accepted.Position)}}})
}

func (m *Machine) retryRefused() {
	again := false
	for _, refusal := range m.refused {
		again = again || refusal.retry
	}
	if !again {
		m.retry = 0
	} else if m.retry++; m.retry >= retryTicks {
		m.retry, m.askWhole = 0, true
	}
}

func refusedList(refused map[string]refusal) []*linkv1.Refused {
	var list []*linkv1.Refused
	for _, bundle := range slices.Sorted(maps.Keys(refused)) {
		list = append(list, &linkv1.Refused{Bundle: bundle, Revision: refused[bundle].entry.GetRevision(), Reason: refused[bundle].reason})
	}
	return list
}

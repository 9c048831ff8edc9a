package session

import (
	"maps"
	"slices"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

func (m *Machine) receiveRelearn(request *linkv1.RelearnRequest) {
	if request.GetEpoch() != m.welcome.GetEpoch() {
		return // of another life of the store than this stream's
	}
	m.beginRelearn(request)
}

// beginRelearn marks the accepted set as relearning, durably, and then says what it holds. Until the hub's answer is
// accepted nothing is removed and no revision changes.
func (m *Machine) beginRelearn(request *linkv1.RelearnRequest) {
	if m.job != nil && m.job.storing {
		m.relearn = request
		return
	}
	m.job, m.index, m.queued, m.askWhole = nil, nil, nil, false
	if m.accepted.Relearning {
		m.sendRelearn()
		return
	}
	m.jobID++
	next := m.accepted.Clone()
	next.Relearning = true
	m.job = &job{id: m.jobID, storing: true, relearn: true, target: next.Position, next: next}
	m.out.Accept = &Accept{ID: m.job.id, Set: next.Clone()}
}

func (m *Machine) sendRelearn() {
	if !m.Connected() {
		return
	}
	m.reported = true
	report := &linkv1.RelearnReport{Epoch: m.welcome.GetEpoch(), Accepted: wire(m.accepted.Position)}
	for _, bundle := range slices.Sorted(maps.Keys(m.accepted.Entries)) {
		report.Entries = append(report.Entries, m.accepted.Entries[bundle])
	}
	for _, bundle := range slices.Sorted(maps.Keys(m.accepted.Tombstones)) {
		report.Tombstones = append(report.Tombstones, m.accepted.Tombstones[bundle])
	}
	m.send(&linkv1.AgentMessage{Message: &linkv1.AgentMessage_Relearn{Relearn: report}})
}

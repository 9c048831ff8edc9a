package session

import (
	"google.golang.org/grpc/codes"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// statusSums is the hash over what was acknowledged of an agent's status. The one before the last acknowledgement counts
// too: a heartbeat may cross an acknowledgement on the way.
type statusSums struct {
	bundles       map[string]content.Hash
	sum, previous content.Hash
}

func newStatusSums() statusSums { return statusSums{bundles: map[string]content.Hash{}} }

func (s *statusSums) matches(hash content.Hash) bool { return hash == s.sum || hash == s.previous }

func (s *statusSums) commit(report *linkv1.StatusReport) {
	s.previous = s.sum
	if report.GetFull() {
		clear(s.bundles)
		s.sum = content.Hash{}
	}
	for _, status := range report.GetBundles() {
		s.set(status.GetBundle(), content.StatusHash(status))
	}
	for _, bundle := range report.GetRemoved() {
		s.set(bundle, content.Hash{})
	}
}

func (s *statusSums) set(bundle string, hash content.Hash) {
	s.sum = s.sum.Sub(s.bundles[bundle]).Add(hash)
	s.bundles[bundle] = hash
	if hash == (content.Hash{}) {
		delete(s.bundles, bundle)
	}
}

func (m *Machine) receiveStatus(report *linkv1.StatusReport) {
	switch {
	case m.session == 0 || report.GetSession() != m.session:
		return // of an older session: its agent says everything again in this one
	case report.GetSequence() <= m.sequence:
		m.acknowledge(report.GetSequence())
		return
	}
	if m.reports++; m.reports > maxReports {
		m.close(codes.ResourceExhausted, "more status reports wait than the protocol allows")
		return
	}
	m.store(Request{Report: report})
}

// Reported answers a Report. Not applied means that the store has a newer session: another stream took over.
func (m *Machine) Reported(report *linkv1.StatusReport, applied bool, err error) Output {
	m.reports--
	switch {
	case err != nil:
		return m.failed(err)
	case !applied && report.GetSequence() > m.sequence:
		return m.Supersede()
	case report.GetSequence() > m.sequence:
		m.sequence = report.GetSequence()
		m.status.commit(report)
	}
	m.acknowledge(report.GetSequence())
	return m.take()
}

func (m *Machine) acknowledge(sequence uint64) {
	m.send(&linkv1.HubMessage{Message: &linkv1.HubMessage_StatusAck{StatusAck: &linkv1.StatusAck{Sequence: sequence}}})
}

// CommandsRead answers Commands.
func (m *Machine) CommandsRead(pending []*linkv1.Command, err error) Output {
	if err != nil {
		return m.failed(err)
	}
	for _, command := range pending {
		if !m.commands[command.GetId()] {
			m.commands[command.GetId()] = true
			m.send(&linkv1.HubMessage{Message: &linkv1.HubMessage_Command{Command: command}})
		}
	}
	return m.take()
}

// Answered answers an Answer.
func (m *Machine) Answered(id string, err error) Output {
	if err != nil {
		return m.failed(err)
	}
	delete(m.commands, id)
	return m.take()
}

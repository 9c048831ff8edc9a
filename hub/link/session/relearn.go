package session

import linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"

// askRelearn asks the agent for what it holds, instead of telling it anything.
func (m *Machine) askRelearn(reason string) {
	m.offer = nil
	m.relearning = true
	if m.asked {
		return
	}
	m.asked, m.missed = true, 0
	m.send(&linkv1.HubMessage{Message: &linkv1.HubMessage_Relearn{Relearn: &linkv1.RelearnRequest{Epoch: m.config.Epoch, Reason: reason}}})
}

// Relearned answers a Relearn: the report is in the store and control decides. What the agent holds is known from here on.
func (m *Machine) Relearned(report *linkv1.RelearnReport, err error) Output {
	if err != nil {
		return m.failed(err)
	}
	accepted, err := position(report.GetAccepted())
	if err != nil {
		return m.failed(err)
	}
	m.relearning, m.asked, m.saved, m.offer, m.missed = true, true, true, nil, 0
	m.agent = accepted
	m.record(nil)
	return m.take()
}

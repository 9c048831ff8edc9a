package link

import (
	"testing"

	"google.golang.org/protobuf/proto"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// FuzzMessages gives both machines whatever a broken or hostile other side may send: neither may panic, spin, or let a bundle
// go without a tombstone.
func FuzzMessages(f *testing.F) {
	position := &linkv1.Position{Epoch: "epoch-1", Generation: 3, SetHash: make([]byte, 32)}
	for _, message := range []proto.Message{
		&linkv1.HubMessage{Message: &linkv1.HubMessage_Index{Index: &linkv1.Index{Target: position}}},
		&linkv1.HubMessage{Message: &linkv1.HubMessage_Delta{Delta: &linkv1.Delta{Base: position, Target: position}}},
		&linkv1.HubMessage{Message: &linkv1.HubMessage_Relearn{Relearn: &linkv1.RelearnRequest{Epoch: "epoch-1"}}},
		&linkv1.AgentMessage{Message: &linkv1.AgentMessage_Accepted{Accepted: &linkv1.Accepted{Position: position}}},
		&linkv1.AgentMessage{Message: &linkv1.AgentMessage_Heartbeat{Heartbeat: &linkv1.AgentHeartbeat{Accepted: position, StatusHash: []byte{1}}}},
		&linkv1.AgentMessage{Message: &linkv1.AgentMessage_Status{Status: &linkv1.StatusReport{Session: 1, Sequence: 9}}},
	} {
		data, err := proto.Marshal(message)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, true)
		f.Add(data, false)
	}
	f.Fuzz(func(t *testing.T, data []byte, toAgent bool) {
		w := newWorld()
		w.set("fleet/a", 1)
		w.connect()
		w.drain()
		if toAgent {
			message := &linkv1.HubMessage{}
			if proto.Unmarshal(data, message) != nil {
				return
			}
			for _, tombstones := range [][]*linkv1.Tombstone{message.GetDelta().GetTombstones(), message.GetIndex().GetTombstones()} {
				for _, tombstone := range tombstones {
					w.caused[tombstone.GetBundle()] = true
				}
			}
			w.toAgent = append(w.toAgent, message)
		} else {
			message := &linkv1.AgentMessage{}
			if proto.Unmarshal(data, message) != nil {
				return
			}
			w.toHub = append(w.toHub, message)
		}
		w.drain()
		if len(w.failures) > 0 {
			t.Error(w.failures)
		}
	})
}

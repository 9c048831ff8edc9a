package link

import linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"

// outbox holds what a slow agent has not read yet. It stays small whatever happens meanwhile: every message is a state, so a
// newer one of the same kind takes the older one's place.
type outbox struct{ pending []*linkv1.HubMessage }

func (o *outbox) put(message *linkv1.HubMessage) {
	for i, waiting := range o.pending {
		if replaces(message, waiting) {
			o.pending = append(append(o.pending[:i:i], o.pending[i+1:]...), message)
			return
		}
	}
	o.pending = append(o.pending, message)
}

// replaces says whether a newer message makes a waiting one pointless.
func replaces(newer, waiting *linkv1.HubMessage) bool {
	switch newer.GetMessage().(type) {
	case *linkv1.HubMessage_Heartbeat:
		return waiting.GetHeartbeat() != nil && !waiting.GetHeartbeat().GetWantFullStatus()
	case *linkv1.HubMessage_StatusAck:
		return waiting.GetStatusAck() != nil
	case *linkv1.HubMessage_Index:
		return waiting.GetIndex() != nil || waiting.GetDelta() != nil || waiting.GetEntries() != nil
	case *linkv1.HubMessage_Relearn:
		return waiting.GetIndex() != nil || waiting.GetDelta() != nil || waiting.GetEntries() != nil || waiting.GetRelearn() != nil
	case *linkv1.HubMessage_Delta:
		return waiting.GetDelta() != nil
	default:
		return false
	}
}

package link

import (
	"testing"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// TestEveryRPCHasLimits fails when an RPC is added without saying who may call it how often.
func TestEveryRPCHasLimits(t *testing.T) {
	names := map[string]bool{}
	for _, method := range linkv1.Link_ServiceDesc.Methods {
		names[method.MethodName] = true
	}
	for _, stream := range linkv1.Link_ServiceDesc.Streams {
		names[stream.StreamName] = true
	}
	for name := range names {
		if rpcLimits[name].perSecond == 0 {
			t.Errorf("%s has no line in rpcLimits", name)
		}
	}
	if len(names) != len(rpcLimits) {
		t.Errorf("rpcLimits has %d lines for %d RPCs", len(rpcLimits), len(names))
	}
}

// TestSlowReaderHoldsLittle holds that what waits for an agent that reads nothing does not grow.
func TestSlowReaderHoldsLittle(t *testing.T) {
	var o outbox
	for i := range 1000 {
		o.put(&linkv1.HubMessage{Message: &linkv1.HubMessage_Heartbeat{Heartbeat: &linkv1.HubHeartbeat{}}})
		o.put(&linkv1.HubMessage{Message: &linkv1.HubMessage_Delta{Delta: &linkv1.Delta{}}})
		o.put(&linkv1.HubMessage{Message: &linkv1.HubMessage_Index{Index: &linkv1.Index{}}})
		o.put(&linkv1.HubMessage{Message: &linkv1.HubMessage_StatusAck{StatusAck: &linkv1.StatusAck{Sequence: uint64(i)}}})
	}
	if len(o.pending) > 4 {
		t.Errorf("%d messages wait", len(o.pending))
	}
}

package session

import (
	"testing"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/hub/delivery"
)

func TestDecide(t *testing.T) {
	at := func(epoch string, generation uint64, hash byte) delivery.Position {
		return delivery.Position{Epoch: epoch, Generation: generation, SetHash: content.Hash{hash}}
	}
	cases := map[string]struct {
		reason   string
		accepted delivery.Position
		refused  bool
		head     Head
		want     step
	}{
		"Equal":          {"nothing is to be done", at("e", 3, 1), false, Head{Desired: at("e", 3, 1)}, stepNothing},
		"New":            {"an agent that has nothing gets the index", delivery.Position{}, false, Head{Desired: at("e", 3, 1)}, stepIndex},
		"Behind":         {"a base on record is good for a delta", at("e", 2, 1), false, Head{Desired: at("e", 3, 2), Recorded: at("e", 2, 1)}, stepDelta},
		"BehindUnknown":  {"another base is not", at("e", 2, 1), false, Head{Desired: at("e", 3, 2), Recorded: at("e", 1, 1)}, stepIndex},
		"Ahead":          {"the hub forgot generations", at("e", 4, 1), false, Head{Desired: at("e", 3, 2), Recorded: at("e", 2, 1)}, stepRelearn},
		"AheadAnswered":  {"after a relearning the position is on record", at("e", 4, 1), false, Head{Desired: at("e", 3, 2), Recorded: at("e", 4, 1)}, stepIndex},
		"OtherHash":      {"one generation, two histories", at("e", 3, 1), false, Head{Desired: at("e", 3, 2), Recorded: at("e", 2, 1)}, stepRelearn},
		"Refused":        {"refusals explain another hash", at("e", 3, 1), true, Head{Desired: at("e", 3, 2), Recorded: at("e", 3, 1)}, stepNothing},
		"OtherEpoch":     {"an agent of another life is relearned", at("d", 3, 1), false, Head{Desired: at("e", 3, 1)}, stepRelearn},
		"EpochAnswered":  {"a relearned one gets the index of the new life", at("d", 3, 1), false, Head{Desired: at("e", 3, 1), Recorded: at("d", 3, 1)}, stepIndex},
		"Restored":       {"the store says so, whatever else is equal", at("e", 3, 1), false, Head{Desired: at("e", 3, 1), Recorded: at("e", 3, 1), Relearn: true}, stepRelearn},
		"RestoredAndNew": {"also an agent that has nothing waits for control", delivery.Position{}, false, Head{Desired: at("e", 3, 1), Relearn: true}, stepRelearn},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got, why := decide(c.accepted, c.refused, c.head); got != c.want {
				t.Errorf("%s: got %v (%s), want %v", c.reason, got, why, c.want)
			}
		})
	}
}

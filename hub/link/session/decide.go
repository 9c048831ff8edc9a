package session

import (
	"fmt"

	"github.com/periplus-fleet/periplus/hub/delivery"
)

// step is what brings an agent from what it accepted to what is desired.
type step int

const (
	stepNothing step = iota
	stepDelta
	stepIndex
	stepRelearn
)

// decide compares what the agent accepted with the store's row. refused says that the agent named entries that it refuses
// there, which explains a hash that is not the hub's.
func decide(accepted delivery.Position, refused bool, head Head) (next step, reason string) {
	desired := head.Desired
	known := accepted == head.Recorded
	sameLife := accepted.Epoch == desired.Epoch
	switch {
	case head.Relearn:
		return stepRelearn, "the hub's store was restored, or this cluster was lost from it"
	case accepted.Epoch == "":
		return stepIndex, "the agent has nothing yet"
	case accepted == desired:
		return stepNothing, "the agent accepted what is desired"
	case known && sameLife && accepted.Generation < desired.Generation:
		return stepDelta, "the accepted position is on record"
	case sameLife && accepted.Generation == desired.Generation && refused:
		return stepNothing, "the agent refuses entries by name"
	case known:
		return stepIndex, "the accepted position is on record, but no base of a delta"
	case !sameLife:
		return stepRelearn, "the agent's set is of another life of the hub's store"
	case accepted.Generation > desired.Generation:
		return stepRelearn, fmt.Sprintf("the agent's generation %d is ahead of the hub's %d", accepted.Generation, desired.Generation)
	case accepted.Generation == desired.Generation:
		return stepRelearn, fmt.Sprintf("generation %d has another hash at the agent", accepted.Generation)
	default:
		return stepIndex, "the accepted position is not on record"
	}
}

package reconcile

import (
	"math/rand/v2"
	"time"

	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/observe"
	"github.com/periplus-fleet/periplus/api/content"
)

// Action is what one object needs.
type Action string

// The actions.
const (
	// Nothing: it is applied and as it was left.
	Nothing Action = "nothing"
	// Create an object that the inventory does not have, or of which it does not know whether it was made.
	Create Action = "create"
	// Change what was applied.
	Change Action = "change"
	// Look: nothing is known of the live object.
	Look Action = "look"
	// Recreate what somebody deleted.
	Recreate Action = "recreate"
	// Repair fields that another changed.
	Repair Action = "repair"
	// Tell that it is gone, or changed by another, and leave it.
	TellMissing Action = "tell-missing"
	TellDrift   Action = "tell-drift"
	// Refuse: the name is another object's or another bundle's now.
	Refuse Action = "refuse"
)

// Drift modes; "" is correct.
const (
	driftReport = "Report"
	driftIgnore = "Ignore"
)

// question is all that the decision on one object depends on.
type question struct {
	Bundle string
	Item   content.Item
	// Input as apply.Input makes it.
	Input string
	Mode  string
	// Record, if Recorded, and what is known of the live object, if Known.
	Record   inventory.Record
	Recorded bool
	Live     observe.Extract
	Known    bool
}

// decide says what one object needs, and why.
func decide(q question) (Action, string) {
	switch how := q.Item.Applies(); {
	case how == content.ApplyIgnore:
		return Nothing, ""
	case how == content.ApplyCreateOnly && q.Recorded && q.Record.Settled():
		return decideCreated(q)
	case !q.Recorded:
		return Create, "is new"
	case !q.Record.Settled():
		return Create, "was about to be made"
	case q.Record.Digest != q.Item.Digest:
		return Change, "has new content"
	case q.Record.Input != q.Input:
		return Change, "has new options"
	case !q.Known:
		return Look, "is not known yet"
	case !q.Live.Exists && q.Record.Transient:
		return Nothing, ""
	case !q.Live.Exists && (q.Mode == driftReport || q.Mode == driftIgnore):
		return TellMissing, "was deleted"
	case !q.Live.Exists:
		return Recreate, "was deleted"
	case q.Live.UID != q.Record.UID:
		return Refuse, "it was replaced by another object, which is not managed by us: delete that to have it made anew"
	case q.Live.Owner != "" && q.Live.Owner != q.Bundle:
		return Refuse, "it belongs to bundle " + q.Live.Owner
	case q.Live.Fields == q.Record.Fields, q.Mode == driftIgnore:
		return Nothing, ""
	case q.Mode == driftReport:
		return TellDrift, "was changed by " + others(q.Live)
	default:
		return Repair, "was changed by " + others(q.Live)
	}
}

// decideCreated decides on an object that is applied at creation only: whatever became of it, only that it is gone counts.
func decideCreated(q question) (Action, string) {
	switch {
	case !q.Known:
		return Look, "is not known yet"
	case q.Live.Exists || q.Record.Transient:
		return Nothing, ""
	case q.Mode == driftReport || q.Mode == driftIgnore:
		return TellMissing, "was deleted"
	default:
		return Recreate, "was deleted"
	}
}

func others(live observe.Extract) string {
	if live.Others == "" {
		return "another"
	}
	return live.Others
}

const (
	firstRetry = 2 * time.Second
	lastRetry  = 5 * time.Minute
)

// retryAfter is how long a failed apply waits: longer with each attempt, and not all at the same time.
func retryAfter(attempts int) time.Duration {
	wait := min(firstRetry<<min(attempts, 10), lastRetry)
	return wait/2 + rand.N(wait/2)
}

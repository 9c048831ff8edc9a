// Package prune decides what the agent removes from its cluster: a pure function over the inventory of a bundle, what is
// assigned, and what lives. Only what it returns as Delete is deleted, by UID; everything else stays, each with its
// reason. The reconciler calls it after a revision was applied, or for a tombstone.
package prune

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/api/content"
)

// Verdict on one object.
type Verdict string

// The verdicts.
const (
	// Delete it, now.
	Delete Verdict = "delete"
	// Keep it and its record.
	Keep Verdict = "keep"
	// Forget the record; the object, if there is one, stays.
	Forget Verdict = "forget"
	// Hold until a person confirms.
	Hold Verdict = "hold"
	// Later: it goes once those of later waves and phases are gone.
	Later Verdict = "later"
	// Waiting for finalizers, as it is being deleted.
	Waiting Verdict = "waiting"
)

// Live is what the cluster says of an object of the inventory.
type Live struct {
	// Known is false when the cluster could not be asked.
	Known  bool
	Exists bool
	UID    string
	// Owner is the bundle that the object's marks name, "" when none.
	Owner      string
	Deleting   bool
	Finalizers string
	// Precious says why only a person may remove it; "" when the agent may.
	Precious string
}

// Input of a decision.
type Input struct {
	Bundle string
	// Records of the bundle's inventory, and how many it had before anything of this removal began.
	Records []inventory.Record
	// Assigned says which other bundle, if any, has the object in its assigned revision, or wants it while this one's
	// own revision has it.
	Assigned func(content.ObjectID) (bundle string, ok bool)
	// Wanted says whether the bundle's own assigned revision holds the object.
	Wanted func(content.ObjectID) bool
	Live   func(inventory.Record) Live
	// Early says that the agent began moments ago: what it asked for in an earlier life may still come about.
	Early bool
	// Orphan: the objects stay and the records go.
	Orphan bool
	// Confirmed by a person as a whole.
	Confirmed bool
	Budget    Budget
}

// Budget is the larger of both. The zero value stands for the default.
type Budget struct {
	Objects int
	Percent int
	// Set is true when the bundle says its own budget, be it zero.
	Set bool
}

const (
	defaultObjects = 10
	defaultPercent = 25
)

// Of is how many of total objects may go at once.
func (b Budget) Of(total int) int {
	if !b.Set {
		b.Objects, b.Percent = defaultObjects, defaultPercent
	}
	return max(b.Objects, total*b.Percent/100)
}

// Decision on one object.
type Decision struct {
	Record  inventory.Record
	Verdict Verdict
	Reason  string
}

// Plan is the decisions on all objects that are not simply kept as wanted.
type Plan struct {
	Decisions []Decision
	// HoldID names what is held: the very objects. "" when nothing is.
	HoldID string
	// Held objects, and the budget that they are above (or precious ones within it).
	Held   []content.ObjectID
	Budget int
}

// Count of decisions with a verdict.
func (p Plan) Count(verdicts ...Verdict) int {
	count := 0
	for _, decision := range p.Decisions {
		if slices.Contains(verdicts, decision.Verdict) {
			count++
		}
	}
	return count
}

// Decide is the pure decision.
func Decide(in Input) Plan {
	var plan Plan
	plan.Budget = in.Budget.Of(len(in.Records))
	unconfirmed := 0
	for _, record := range in.Records {
		if in.Wanted(record.ObjectID) {
			continue
		}
		decision := one(in, record)
		if decision.Verdict == Delete && !in.Confirmed && !record.Confirmed {
			unconfirmed++
		}
		plan.Decisions = append(plan.Decisions, decision)
	}
	over := unconfirmed > plan.Budget
	var first *inventory.Record
	for i := range plan.Decisions {
		decision := &plan.Decisions[i]
		if decision.Verdict == Delete && over && !in.Confirmed && !decision.Record.Confirmed {
			decision.Verdict = Hold
			decision.Reason = fmt.Sprintf("%d objects would go, the budget is %d", unconfirmed, plan.Budget)
		}
		switch decision.Verdict {
		case Hold:
			plan.Held = append(plan.Held, decision.Record.ObjectID)
		case Delete, Waiting:
			if first == nil || order(decision.Record, *first) < 0 {
				first = &decision.Record
			}
		}
	}
	for i := range plan.Decisions {
		if decision := &plan.Decisions[i]; decision.Verdict == Delete && order(decision.Record, *first) > 0 {
			decision.Verdict, decision.Reason = Later, "waits for objects that depend on it to go"
		}
	}
	plan.HoldID = holdID(plan.Decisions)
	slices.SortFunc(plan.Decisions, func(a, b Decision) int {
		return cmp.Or(order(a.Record, b.Record), a.Record.Compare(b.Record.ObjectID))
	})
	return plan
}

// order is that of removal, which is that of applying backwards: higher waves go first, within one the later phases, and
// namespaces last of all.
func order(a, b inventory.Record) int {
	last := func(r inventory.Record) int {
		if r.Group == "" && r.Kind == "Namespace" {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(last(a), last(b)), cmp.Compare(b.Wave, a.Wave), cmp.Compare(b.Phase, a.Phase))
}

// one decides on one object without regard to the others.
func one(in Input, record inventory.Record) Decision {
	decide := func(verdict Verdict, reason string) Decision { return Decision{record, verdict, reason} }
	if in.Orphan {
		return decide(Forget, "the bundle leaves its objects behind")
	}
	live := in.Live(record)
	switch {
	case !live.Known:
		return decide(Keep, "the cluster could not be asked about it")
	case !live.Exists && !record.Settled() && in.Early:
		return decide(Waiting, "was being made when the agent ended: it is looked for again")
	case !live.Exists:
		return decide(Forget, "it is gone")
	case !record.Settled() && live.Owner == in.Bundle:
		// It was made, and the agent did not get to write its UID down.
		record.UID = live.UID
	case !record.Settled():
		return decide(Forget, "it was never applied")
	case live.UID != record.UID:
		return decide(Forget, "another object has its name now")
	case live.Owner != "" && live.Owner != in.Bundle:
		return decide(Forget, "handed over to "+live.Owner)
	}
	if other, ok := in.Assigned(record.ObjectID); ok {
		return decide(Keep, "waits for "+other+" to take it over")
	}
	switch {
	case live.Owner == "":
		return decide(Forget, "its owner annotation was removed: it is no longer this bundle's")
	case record.Keep:
		return decide(Forget, "it is kept: its annotation says prune: never")
	case live.Deleting:
		return decide(Waiting, waitReason(live.Finalizers))
	case live.Precious != "" && !in.Confirmed && !record.Confirmed:
		return decide(Hold, live.Precious)
	default:
		return decide(Delete, "")
	}
}

func waitReason(finalizers string) string {
	if finalizers == "" {
		return "is being deleted"
	}
	return fmt.Sprintf("is being deleted, waits for finalizers %s", finalizers)
}

// holdID is a hash over the held objects: a confirmation confirms what the person saw and nothing else.
func holdID(decisions []Decision) string {
	var names []string
	for _, decision := range decisions {
		if decision.Verdict == Hold {
			names = append(names, decision.Record.String()+" "+decision.Record.UID)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	sum := sha256.New()
	for _, name := range names {
		sum.Write([]byte(name + "\n"))
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

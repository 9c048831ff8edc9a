// Package rollout is the stage that moves a delivery's assigned revision to its target, and the only one that does. It is
// pure: it sees pairs and says what may move now and what is held, with the reason. The one strategy so far is all at once.
package rollout

import (
	"fmt"
	"time"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"google.golang.org/protobuf/proto"
)

// Reasons why an assigned revision is not its target.
const (
	ReasonHeld         = "Held"
	ReasonSuspended    = "Suspended"
	ReasonRenderFailed = "RenderFailed"
	ReasonTargetError  = "TargetError"
	ReasonRemovalHeld  = "RemovalHeld"
	ReasonRelearning   = "Relearning"
	// ReasonWaiting: a bundle that this one depends on is not ready yet on other clusters.
	ReasonWaiting = "WaitingForDependency"
)

// Pair is what the stages before found out about one cluster x bundle pair.
type Pair struct {
	Target   delivery.Assignment
	Assigned delivery.Assignment
	// Denied says why policy denies the target; "" when it does not.
	Denied  string
	Suspend *v1alpha1.Suspend
	// Waits says what on other clusters is not ready yet; "" where nothing is waited for.
	Waits string
}

// Decision says whether the target is assigned now, and if not, why.
type Decision struct {
	Assign  bool
	Reason  string
	Message string
}

// Decide moves a pair. A target that is denied, suspended or waits for others is held and leaves what is assigned as it is.
func Decide(pair Pair, now time.Time) Decision {
	switch {
	case pair.Denied != "":
		return Decision{Reason: ReasonHeld, Message: pair.Denied}
	case pair.Suspend != nil && now.Before(pair.Suspend.Until.Time) && !Same(pair.Target, pair.Assigned):
		return Decision{Reason: ReasonSuspended, Message: fmt.Sprintf("suspended until %s: %s",
			pair.Suspend.Until.UTC().Format(time.RFC3339), pair.Suspend.Reason)}
	case pair.Waits != "" && !Same(pair.Target, pair.Assigned):
		return Decision{Reason: ReasonWaiting, Message: pair.Waits}
	default:
		return Decision{Assign: !Same(pair.Target, pair.Assigned)}
	}
}

// Same says whether two assignments are the same entry for an agent; the commit and the target's name are for people only.
func Same(a, b delivery.Assignment) bool {
	if a.Revision != b.Revision || len(a.RequiredCapabilities) != len(b.RequiredCapabilities) {
		return false
	}
	for i := range a.RequiredCapabilities {
		if a.RequiredCapabilities[i] != b.RequiredCapabilities[i] {
			return false
		}
	}
	return proto.Equal(a.Options, b.Options)
}

// Removal budget of one commit or label change: at most this many clusters, or this share of all, may lose bundles at once.
const (
	RemovalClusters = 3
	RemovalPercent  = 5
)

// Removal is a bundle that is to leave a cluster.
type Removal struct {
	ClusterUID string
	Bundle     delivery.Key
	Cause      delivery.Cause
	// Confirmed by a person, by ConfirmID.
	Confirmed bool
}

// ConfirmID names what a person confirms: all removals of one cause.
func ConfirmID(cause delivery.Cause) string { return cause.Kind + ":" + cause.Ref }

// HoldRemovals splits removals into those that may go and those held because their cause takes bundles from more than
// max(3, 5 %) clusters. clusters is how many the fleet has; taken are the clusters, by cause, that lost bundles to it moments
// ago, since what one commit changes may arrive in parts.
func HoldRemovals(removals []Removal, taken map[string][]string, clusters int) (allowed, held []Removal) {
	touched := map[string]map[string]bool{}
	for id, uids := range taken {
		touched[id] = map[string]bool{}
		for _, uid := range uids {
			touched[id][uid] = true
		}
	}
	for _, removal := range removals {
		id := ConfirmID(removal.Cause)
		if touched[id] == nil {
			touched[id] = map[string]bool{}
		}
		touched[id][removal.ClusterUID] = true
	}
	budget := max(RemovalClusters, clusters*RemovalPercent/100)
	for _, removal := range removals {
		if !removal.Confirmed && len(touched[ConfirmID(removal.Cause)]) > budget {
			held = append(held, removal)
			continue
		}
		allowed = append(allowed, removal)
	}
	return allowed, held
}

package control

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/rollout"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/target"
)

// pair names one cluster x bundle pair.
type pair struct {
	cluster string // uid
	bundle  delivery.Key
}

// planInput is what one plan depends on besides what the planner knows.
type planInput struct {
	Namespace string
	// Pairs to look at, and the deliveries that there are of them.
	Pairs      []pair
	Deliveries map[pair]delivery.Delivery
	// Judge are those of Pairs for which nothing changed but policies.
	Judge map[pair]bool
	// Relearning clusters keep what they have until their agent's report is answered.
	Relearning map[string]bool
	// Confirmed causes of removals.
	Confirmed map[string]bool
	Commit    string
	Now       time.Time
}

// outcome is what one pair came to, kept so that an unchanged pair costs a map look-up.
type outcome struct {
	// inputs is the key of all that it was rendered of, sees of what policies saw of the cluster.
	inputs, sees string
	// variant and base name what was rendered, runs the base of what is assigned; see render.Renderer.
	variant, base, runs string
	kinds               kinds
	warnings            []string
	target              delivery.Assignment
	denied              string
	reason              string
	message             string
	// waits is what the pair waits for; it is asked anew by every plan.
	waits   string
	results []delivery.PolicyResult
}

// planning is the state of one plan.
type planning struct {
	*planner
	in planInput
	// sees is what policies see of a cluster, by uid.
	sees map[string]string
	// targets are those that this plan gives pairs, for what waits for them.
	targets  map[pair]delivery.Assignment
	depended map[delivery.Key][]delivery.Delivery
	waits    map[delivery.Key]string
	removals []rollout.Removal
	changes  []store.Change
}

// plan computes what changes. It never returns an error for one pair's mistake: that pair is marked and the others go on.
func (p *planner) plan(ctx context.Context, in planInput) ([]store.Change, error) {
	w := &planning{planner: p, in: in, sees: map[string]string{}, targets: map[pair]delivery.Assignment{},
		depended: map[delivery.Key][]delivery.Delivery{}, waits: map[delivery.Key]string{}}
	for _, key := range in.Pairs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p.work.Pairs++
		if err := w.pair(ctx, key); err != nil {
			return nil, err
		}
	}
	return append(w.changes, w.remove()...), nil
}

// pair decides about one pair.
func (w *planning) pair(ctx context.Context, key pair) error {
	cluster, present := w.index.Cluster(key.cluster)
	if !present {
		// A cluster that is not declared keeps what it has: its finalizer takes its bundles off.
		w.outcomes.drop(key)
		return nil
	}
	current, exists := w.in.Deliveries[key]
	there := exists && current.Tombstone == nil
	bundle, declared := w.bundles[key.bundle]
	if !declared {
		if cause, gone := w.gone[key.bundle]; gone && there {
			w.leaves(key, cause)
		}
		return nil
	}
	if result, known := w.outcomes.of[key]; known && there && w.in.Judge[key] {
		if change, judged, err := w.judgePair(ctx, bundle, cluster, key, result, current); judged || err != nil {
			w.changes = appendChange(w.changes, change)
			return err
		}
	}
	w.work.Matched++
	match, matched, err := target.MatchDelivered(bundle.BundleDecl, w.index.Groups(), cluster, there)
	switch {
	case err != nil:
		delete(w.held, key)
		w.changes = appendChange(w.changes, mark(w.in, key, current, exists, rollout.ReasonTargetError, err.Error(), cluster.Name))
	case matched:
		delete(w.held, key)
		change, err := w.planPair(ctx, bundle, cluster, match, key, current)
		if err != nil {
			return err
		}
		w.changes = appendChange(w.changes, change)
	case there:
		w.leaves(key, delivery.Cause{Kind: "target", Ref: w.in.Commit,
			Message: fmt.Sprintf("bundle %s has no target for the cluster: %s", bundle.Key, match.Why)})
	default:
		w.outcomes.drop(key)
		delete(w.held, key)
	}
	return nil
}

func (w *planning) leaves(key pair, cause delivery.Cause) {
	w.outcomes.drop(key)
	w.removals = append(w.removals, rollout.Removal{ClusterUID: key.cluster, Bundle: key.bundle, Cause: cause})
}

// planPair takes one matching pair through inputs, render, gate and rollout.
func (w *planning) planPair(ctx context.Context, bundle plannedBundle, cluster target.Cluster, match target.Match, key pair,
	current delivery.Delivery,
) (*store.Change, error) {
	result, known := w.outcomes.of[key]
	inputs, err := w.inputsKey(ctx, bundle, match, cluster)
	if err != nil {
		return nil, err
	}
	if known && result.inputs == inputs {
		if change, judged, err := w.judgePair(ctx, bundle, cluster, key, result, current); judged || err != nil {
			return change, err
		}
	}
	sees, err := w.seesOf(cluster)
	if err != nil {
		return nil, err
	}
	w.work.Computed++
	computed, err := w.compute(ctx, bundle, cluster, match)
	if err != nil {
		return nil, err
	}
	computed.sees = sees
	if _, later := w.again[key]; !later {
		computed.inputs = inputs
	}
	if computed.reason != "" {
		// What was there before stays, and what it was made of.
		computed.base, computed.warnings = result.base, result.warnings
	}
	computed.runs = result.runs
	return w.roll(ctx, bundle, cluster, key, computed, current)
}

// judgePair lets the gate see a pair again of which nothing changed but, maybe, policies. It is false where what was rendered is
// not at hand any more.
func (w *planning) judgePair(ctx context.Context, bundle plannedBundle, cluster target.Cluster, key pair, result outcome,
	current delivery.Delivery,
) (*store.Change, bool, error) {
	sees, err := w.seesOf(cluster)
	if err != nil {
		return nil, false, err
	}
	if result.sees != sees && result.reason == "" {
		variant := w.renderer.Known(result.variant)
		if variant == nil {
			return nil, false, nil
		}
		w.work.Judged++
		if err := w.judge(ctx, bundle, cluster, variant, &result); err != nil {
			return nil, false, err
		}
	}
	result.sees = sees
	change, err := w.roll(ctx, bundle, cluster, key, result, current)
	return change, true, err
}

// roll lets the rollout move a pair to what it came to.
func (w *planning) roll(ctx context.Context, bundle plannedBundle, cluster target.Cluster, key pair, result outcome, current delivery.Delivery,
) (*store.Change, error) {
	if result.reason == "" {
		w.targets[key] = result.target
		var err error
		if result.waits, err = w.awaited(ctx, bundle); err != nil {
			return nil, err
		}
	}
	change := decide(w.in, key, bundle.BundleDecl, result, current, cluster.Name)
	if before, known := w.outcomes.of[key]; known && result.reason == "" && !slices.Equal(before.results, result.results) {
		// Policies say something else, though nothing moves for it.
		if change == nil {
			change = &store.Change{ClusterUID: key.cluster, Bundle: key.bundle}
		}
		change.Results = &result.results
	}
	if result.reason == "" && (change != nil && change.Assigned != nil || rollout.Same(result.target, current.Assigned)) {
		result.runs = result.base
	}
	w.outcomes.put(key, result)
	w.noteWaiting(key, change, current, result.waits)
	return change, nil
}

// decide compares a pair's outcome with what the store has, and lets the rollout move it; nil when nothing changes.
func decide(in planInput, key pair, bundle fleet.BundleDecl, result outcome, current delivery.Delivery, cluster string) *store.Change {
	change := store.Change{ClusterUID: key.cluster, Bundle: key.bundle}
	if result.reason != "" {
		return mark(in, key, current, current.ClusterUID != "", result.reason, result.message, cluster)
	}
	changed := false
	if !rollout.Same(result.target, current.Target) || current.Tombstone != nil {
		change.Target = &result.target
		change.Results = &result.results
		change.ClearTombstone = current.Tombstone != nil
		changed = true
	}
	decision := rollout.Decide(rollout.Pair{Target: result.target, Assigned: current.Assigned, Denied: result.denied,
		Suspend: bundle.Spec.Suspend, Waits: result.waits}, in.Now)
	if in.Relearning[key.cluster] {
		decision = rollout.Decision{Reason: rollout.ReasonRelearning, Message: "the cluster is relearned after a restore"}
	}
	if decision.Assign {
		change.Assigned = &result.target
		change.Events = append(change.Events, happened(in, key, cluster, "Assigned", string(current.Assigned.Revision),
			string(result.target.Revision), result.target.Commit, ""))
		changed = true
	}
	if decision.Reason != current.Reason || decision.Message != current.Message {
		change.Reason, change.Message = &decision.Reason, &decision.Message
		change.Results = &result.results
		switch {
		case decision.Reason != "":
			change.Events = append(change.Events, happened(in, key, cluster, decision.Reason, string(current.Assigned.Revision),
				string(result.target.Revision), result.target.Commit, decision.Message))
		case current.Reason != "":
			change.Events = append(change.Events, happened(in, key, cluster, "Released", current.Reason, "", result.target.Commit, current.Message))
		}
		changed = true
	}
	if !changed {
		return nil
	}
	return &change
}

// mark says why a pair could not be brought to a target; what is assigned stays.
func mark(in planInput, key pair, current delivery.Delivery, exists bool, reason, message, cluster string) *store.Change {
	if exists && current.Reason == reason && current.Message == message {
		return nil
	}
	return &store.Change{ClusterUID: key.cluster, Bundle: key.bundle, Reason: &reason, Message: &message,
		Events: []delivery.Event{happened(in, key, cluster, reason, string(current.Assigned.Revision), "", in.Commit, message)}}
}

// remove turns allowed removals into tombstones, and marks those that wait for a person.
func (w *planning) remove() []store.Change {
	for i := range w.removals {
		w.removals[i].Confirmed = w.in.Confirmed[rollout.ConfirmID(w.removals[i].Cause)]
	}
	var changes []store.Change
	allowed, held := rollout.HoldRemovals(w.removals, w.taken(w.in.Now), w.index.Size())
	for _, removal := range allowed {
		key := pair{removal.ClusterUID, removal.Bundle}
		if w.in.Relearning[removal.ClusterUID] {
			continue
		}
		delete(w.held, key)
		w.removed = append(w.removed, recentRemoval{at: w.in.Now, cause: rollout.ConfirmID(removal.Cause), uid: removal.ClusterUID})
		none := ""
		changes = append(changes, store.Change{ClusterUID: removal.ClusterUID, Bundle: removal.Bundle, Reason: &none, Message: &none,
			Tombstone: &delivery.Tombstone{Cause: removal.Cause, Confirmed: removal.Confirmed},
			Events: []delivery.Event{happened(w.in, key, w.nameOf(key), "Tombstoned", string(w.in.Deliveries[key].Assigned.Revision), "",
				removal.Cause.Ref, removal.Cause.Message)}})
	}
	for _, removal := range held {
		key := pair{removal.ClusterUID, removal.Bundle}
		w.held[key] = true
		message := fmt.Sprintf("removal waits for a person, as it takes bundles from more than max(%d, %d%%) clusters: periplus confirm --cause %s",
			rollout.RemovalClusters, rollout.RemovalPercent, rollout.ConfirmID(removal.Cause))
		changes = appendChange(changes, mark(w.in, key, w.in.Deliveries[key], true, rollout.ReasonRemovalHeld, message, w.nameOf(key)))
	}
	return changes
}

// taken are the clusters that lost bundles moments ago, by cause.
func (p *planner) taken(now time.Time) map[string][]string {
	p.removed = slices.DeleteFunc(p.removed, func(r recentRemoval) bool { return now.Sub(r.at) > removalWindow })
	out := map[string][]string{}
	for _, r := range p.removed {
		out[r.cause] = append(out[r.cause], r.uid)
	}
	return out
}

func (w *planning) nameOf(key pair) string {
	cluster, _ := w.index.Cluster(key.cluster)
	return cluster.Name
}

func happened(in planInput, key pair, cluster, kind, from, to, commit, message string) delivery.Event {
	return delivery.Event{Time: in.Now, Namespace: in.Namespace, Cluster: cluster, Bundle: bundleName(key.bundle), Type: kind,
		From: from, To: to, Commit: commit, Message: message}
}

func appendChange(changes []store.Change, change *store.Change) []store.Change {
	if change == nil {
		return changes
	}
	return append(changes, *change)
}

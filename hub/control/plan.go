package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/gate"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/hub/rollout"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// pair names one cluster x bundle pair.
type pair struct {
	cluster string // uid
	bundle  delivery.Key
}

// planInput is all that a plan of one namespace depends on.
type planInput struct {
	Namespace string
	Bundles   []plannedBundle
	// Gone are bundles that a readable commit positively no longer declares, with that commit.
	Gone     map[delivery.Key]delivery.Cause
	Clusters []target.Cluster
	// Relearning clusters keep what they have until their agent's report is answered.
	Relearning map[string]bool
	Groups     map[string]*target.Group
	Policies   *engine.Snapshot
	Deliveries map[pair]delivery.Delivery
	// Confirmed causes of removals.
	Confirmed map[string]bool
	Commit    string
	Now       time.Time
}

// outcome is what one pair came to, kept so that an unchanged pair costs a map look-up.
type outcome struct {
	key     string
	target  delivery.Assignment
	denied  string
	reason  string
	message string
	results []delivery.PolicyResult
}

// planner turns a namespace's declarations into changes of its deliveries.
type planner struct {
	resolver *target.Resolver
	renderer *render.Renderer
	gate     *gate.Gate
	store    contentStore
	// outcomes by pair of earlier plans; rebuilt by the first plan after a start.
	outcomes map[pair]outcome
}

type contentStore interface {
	PutRevision(ctx context.Context, manifest content.Manifest, blobs map[content.Digest][]byte) (content.Digest, error)
}

// plan computes what changes. It never returns an error for one pair's mistake: that pair is marked and the others go on.
func (p *planner) plan(ctx context.Context, in planInput) ([]store.Change, error) {
	var changes []store.Change
	var removals []rollout.Removal
	seen := map[pair]bool{}
	for _, bundle := range in.Bundles {
		for _, cluster := range in.Clusters {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			key := pair{cluster.UID, bundle.Key}
			current, exists := in.Deliveries[key]
			match, matched, err := target.MatchBundle(bundle.BundleDecl, in.Groups, cluster)
			switch {
			case err != nil:
				seen[key] = true
				changes = appendChange(changes, mark(in, key, current, exists, rollout.ReasonTargetError, err.Error()))
			case matched:
				seen[key] = true
				change, err := p.planPair(ctx, in, bundle, cluster, match, key, current)
				if err != nil {
					return nil, err
				}
				changes = appendChange(changes, change)
			case exists && current.Tombstone == nil:
				seen[key] = true
				removals = append(removals, rollout.Removal{ClusterUID: cluster.UID, Bundle: bundle.Key,
					Cause: delivery.Cause{Kind: "target", Ref: in.Commit,
						Message: fmt.Sprintf("bundle %s has no target that matches cluster %s", bundle.Key, cluster.Name)}})
			}
		}
	}
	present := map[string]bool{}
	for _, cluster := range in.Clusters {
		present[cluster.UID] = true
	}
	for _, key := range slices.SortedFunc(maps.Keys(in.Deliveries), comparePairs) {
		cause, gone := in.Gone[key.bundle]
		if gone && !seen[key] && present[key.cluster] && in.Deliveries[key].Tombstone == nil {
			removals = append(removals, rollout.Removal{ClusterUID: key.cluster, Bundle: key.bundle, Cause: cause})
		}
	}
	return append(changes, p.remove(in, removals)...), nil
}

// planPair takes one matching pair through inputs, render, gate and rollout.
func (p *planner) planPair(ctx context.Context, in planInput, bundle plannedBundle, cluster target.Cluster,
	match target.Match, key pair, current delivery.Delivery,
) (*store.Change, error) {
	result, known := p.outcomes[key]
	inputKey, err := pairKey(bundle, match, cluster, in)
	if err != nil {
		return nil, err
	}
	if !known || result.key != inputKey {
		result, err = p.compute(ctx, in, bundle, cluster, match)
		if err != nil {
			return nil, err
		}
		result.key = inputKey
		p.outcomes[key] = result
	}
	return decide(in, key, bundle.BundleDecl, result, current), nil
}

// pairKey covers everything that a pair's outcome depends on. The hour is part of it, since an exemption ends by the clock.
func pairKey(bundle plannedBundle, match target.Match, cluster target.Cluster, in planInput) (string, error) {
	ref := ""
	if match.Target.Ref != nil {
		ref = bundle.Refs[refText(*match.Target.Ref)].commit
	}
	data, err := json.Marshal(struct {
		Tree, Ref, Policies, Hour string
		Spec                      any
		Match                     int
		Cluster                   target.Cluster
	}{bundle.TreeHash, ref, in.Policies.Digest, in.Now.UTC().Format("2006-01-02T15"), bundle.Spec, match.Index, cluster})
	if err != nil {
		return "", fmt.Errorf("cannot compare inputs of bundle %q on cluster %q: %w", bundle.Key, cluster.Name, err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// decide compares a pair's outcome with what the store has, and lets the rollout move it; nil when nothing changes.
func decide(in planInput, key pair, bundle fleet.BundleDecl, result outcome, current delivery.Delivery) *store.Change {
	change := store.Change{ClusterUID: key.cluster, Bundle: key.bundle}
	if result.reason != "" {
		return mark(in, key, current, current.ClusterUID != "", result.reason, result.message)
	}
	changed := false
	if !rollout.Same(result.target, current.Target) || current.Tombstone != nil {
		change.Target = &result.target
		change.Results = &result.results
		change.ClearTombstone = current.Tombstone != nil
		changed = true
	}
	decision := rollout.Decide(rollout.Pair{Target: result.target, Assigned: current.Assigned, Denied: result.denied,
		Suspend: bundle.Spec.Suspend}, in.Now)
	if in.Relearning[key.cluster] {
		decision = rollout.Decision{Reason: rollout.ReasonRelearning, Message: "the cluster is relearned after a restore"}
	}
	if decision.Assign {
		change.Assigned = &result.target
		change.Events = append(change.Events, happened(in, current, key, "Assigned", string(current.Assigned.Revision),
			string(result.target.Revision), result.target.Commit, ""))
		changed = true
	}
	if decision.Reason != current.Reason || decision.Message != current.Message {
		change.Reason, change.Message = &decision.Reason, &decision.Message
		change.Results = &result.results
		switch {
		case decision.Reason != "":
			change.Events = append(change.Events, happened(in, current, key, decision.Reason, string(current.Assigned.Revision),
				string(result.target.Revision), result.target.Commit, decision.Message))
		case current.Reason != "":
			change.Events = append(change.Events, happened(in, current, key, "Released", current.Reason, "", result.target.Commit, current.Message))
		}
		changed = true
	}
	if !changed {
		return nil
	}
	return &change
}

// mark says why a pair could not be brought to a target; what is assigned stays.
func mark(in planInput, key pair, current delivery.Delivery, exists bool, reason, message string) *store.Change {
	if exists && current.Reason == reason && current.Message == message {
		return nil
	}
	return &store.Change{ClusterUID: key.cluster, Bundle: key.bundle, Reason: &reason, Message: &message,
		Events: []delivery.Event{happened(in, current, key, reason, string(current.Assigned.Revision), "", in.Commit, message)}}
}

// remove turns allowed removals into tombstones, and marks those that wait for a person.
func (p *planner) remove(in planInput, removals []rollout.Removal) []store.Change {
	for i := range removals {
		removals[i].Confirmed = in.Confirmed[rollout.ConfirmID(removals[i].Cause)]
	}
	var changes []store.Change
	allowed, held := rollout.HoldRemovals(removals, len(in.Clusters))
	for _, removal := range allowed {
		key := pair{removal.ClusterUID, removal.Bundle}
		current := in.Deliveries[key]
		if in.Relearning[removal.ClusterUID] {
			continue
		}
		delete(p.outcomes, key)
		none := ""
		changes = append(changes, store.Change{ClusterUID: removal.ClusterUID, Bundle: removal.Bundle, Reason: &none, Message: &none,
			Tombstone: &delivery.Tombstone{Cause: removal.Cause, Confirmed: removal.Confirmed},
			Events: []delivery.Event{happened(in, current, key, "Tombstoned", string(current.Assigned.Revision), "",
				removal.Cause.Ref, removal.Cause.Message)}})
	}
	for _, removal := range held {
		key := pair{removal.ClusterUID, removal.Bundle}
		message := fmt.Sprintf("removal waits for a person, as it takes bundles from more than max(%d, %d%%) clusters: periplus confirm --cause %s",
			rollout.RemovalClusters, rollout.RemovalPercent, rollout.ConfirmID(removal.Cause))
		changes = appendChange(changes, mark(in, key, in.Deliveries[key], true, rollout.ReasonRemovalHeld, message))
	}
	return changes
}

func happened(in planInput, current delivery.Delivery, key pair, kind, from, to, commit, message string) delivery.Event {
	cluster := current.Cluster
	if cluster == "" {
		for _, c := range in.Clusters {
			if c.UID == key.cluster {
				cluster = c.Name
			}
		}
	}
	return delivery.Event{Time: in.Now, Namespace: in.Namespace, Cluster: cluster, Bundle: bundleName(key.bundle), Type: kind,
		From: from, To: to, Commit: commit, Message: message}
}

func appendChange(changes []store.Change, change *store.Change) []store.Change {
	if change == nil {
		return changes
	}
	return append(changes, *change)
}

package control

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
)

// Decisions about unclaimed bundles.
const (
	// RecoverAccept removes what nobody declares.
	RecoverAccept = "accept"
	// RecoverOrphan leaves its objects and forgets it.
	RecoverOrphan = "orphan"
)

// relearned is the answer to one cluster's report.
type relearned struct {
	// Unclaimed bundles run on the cluster and nobody declares them; without a decision they keep the cluster relearning.
	Unclaimed []delivery.Key
	// Kept is the cluster's set from now on; nil while a decision is awaited.
	Kept []store.Change
}

// answerRelearn decides keep, move or unclaimed for what an agent runs. outcomes are those of Git's plan for the cluster.
func answerRelearn(cluster delivery.Cluster, report *linkv1.RelearnReport, outcomes map[delivery.Key]outcome, decision, actor string) relearned {
	reported := map[delivery.Key]*linkv1.Entry{}
	for _, entry := range report.GetEntries() {
		reported[delivery.Key(entry.GetBundle())] = entry
	}
	var answer relearned
	for _, key := range slices.Sorted(maps.Keys(reported)) {
		entry := reported[key]
		running := delivery.Assignment{Revision: content.Digest(entry.GetRevision()), Options: entry.GetOptions(),
			RequiredCapabilities: entry.GetRequiredCapabilities(), Commit: entry.GetCommit()}
		declared, known := outcomes[key]
		change := store.Change{ClusterUID: cluster.UID, Bundle: key}
		switch {
		case content.IsPolicies(string(key)):
			// Those that are in force follow.
			change.Assigned = &running
		case known && (declared.denied != "" || declared.reason != ""):
			change.Assigned = &running
			if declared.reason == "" {
				change.Target = &declared.target
			}
		case known:
			change.Target, change.Assigned = &declared.target, &declared.target
		default:
			answer.Unclaimed = append(answer.Unclaimed, key)
			change.Assigned = &running
			change.Tombstone = &delivery.Tombstone{Orphan: decision == RecoverOrphan, Confirmed: true,
				Cause: delivery.Cause{Kind: "person", Ref: actor, Message: "nobody declares the bundle after a restore: recover " + decision}}
		}
		none := ""
		change.Reason, change.Message = &none, &none
		answer.Kept = append(answer.Kept, change)
	}
	for _, tombstone := range report.GetTombstones() {
		key := delivery.Key(tombstone.GetBundle())
		if _, known := outcomes[key]; known || reported[key] != nil {
			continue
		}
		// The agent was told before the restore; it finishes what it was told.
		answer.Kept = append(answer.Kept, store.Change{ClusterUID: cluster.UID, Bundle: key, Tombstone: &delivery.Tombstone{
			Orphan: tombstone.GetOrphan(), Confirmed: tombstone.GetConfirmed(), Cause: delivery.Cause{
				Kind: tombstone.GetCause().GetKind(), Ref: tombstone.GetCause().GetRef(), Message: tombstone.GetCause().GetMessage()}}})
	}
	if len(answer.Unclaimed) > 0 && decision == "" {
		answer.Kept = nil
	}
	return answer
}

// finishRelearns answers the reports of a namespace's clusters, once its Git was read again.
func (c *Controller) finishRelearns(ctx context.Context, namespace string, p *planner) error {
	pending, err := c.cfg.Store.Relearning(ctx)
	if err != nil {
		return err
	}
	decisions, err := c.cfg.Store.Words(ctx, namespace, store.WordRecover)
	if err != nil {
		return err
	}
	waiting := false
	for _, item := range pending {
		if item.Cluster.Namespace != namespace {
			continue
		}
		if item.Report == nil {
			waiting = true
			continue
		}
		word := decisions[item.Cluster.Name]
		if word.Decision == "" {
			word = decisions[""]
		}
		answer := answerRelearn(item.Cluster, item.Report, p.outcomesOf(item.Cluster.UID), word.Decision, word.Actor)
		c.noteUnclaimed(item.Cluster.UID, answer)
		if len(answer.Unclaimed) > 0 && word.Decision == "" {
			waiting = true
			continue
		}
		event := delivery.Event{Namespace: namespace, Cluster: item.Cluster.Name, Type: "Recovered", Actor: word.Actor,
			Message: fmt.Sprintf("relearned: %d bundles kept, %d not declared by anyone", len(answer.Kept)-len(answer.Unclaimed), len(answer.Unclaimed))}
		if len(answer.Kept) > 0 {
			answer.Kept[0].Events = append(answer.Kept[0].Events, event)
		}
		if err := c.cfg.Store.FinishRelearn(ctx, c.Term(), item.Cluster.UID, answer.Kept); err != nil {
			return err
		}
		c.cfg.Log.Info("cluster relearned", "cluster", item.Cluster.Name, "kept", len(answer.Kept), "unclaimed", len(answer.Unclaimed))
		c.replan(namespace, func(s *scope) { s.whole[item.Cluster.UID] = true })
	}
	if waiting {
		return nil
	}
	// A decision was about this restore; the next one asks again.
	for subject := range decisions {
		if err := c.cfg.Store.ForgetWord(ctx, namespace, store.WordRecover, subject); err != nil {
			return err
		}
	}
	return nil
}

func (c *Controller) noteUnclaimed(uid string, answer relearned) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	if answer.Kept == nil {
		for _, key := range answer.Unclaimed {
			names = append(names, string(key))
		}
	}
	c.unclaimed[uid] = strings.Join(names, ", ")
}

func (p *planner) outcomesOf(uid string) map[delivery.Key]outcome {
	out := map[delivery.Key]outcome{}
	for key, result := range p.outcomes.of {
		if key.cluster == uid {
			out[key.bundle] = result
		}
	}
	return out
}

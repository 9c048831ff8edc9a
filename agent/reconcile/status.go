package reconcile

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/observe"
	"github.com/periplus-fleet/periplus/agent/prune"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

const (
	maxExceptions = 200
	maxEvents     = 100
	maxExamples   = 10
)

// announce says that a new revision is being applied.
func (p *pass) announce() {
	status := &linkv1.BundleStatus{Bundle: p.name, Revision: string(p.revision), AppliedRevision: string(p.inv.Revision),
		State: linkv1.State_STATE_APPLYING, Counts: &linkv1.Counts{Objects: int32(len(p.manifest.Items))}}
	p.publish(status)
}

// report says what the pass led to, if that differs from what was said before.
func (p *pass) report(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	entangled := false
	for _, failed := range p.b.failures {
		entangled = entangled || failed.conflict
	}
	entangled = entangled || p.plan.Count(prune.Keep) > 0
	p.b.mu.Lock()
	p.b.tangled = entangled
	p.b.mu.Unlock()
	if p.entry == nil && len(p.inv.Records) == 0 && p.problem == "" && p.waiting == "" && !p.unfinished {
		p.removed(ctx)
		return
	}
	p.lookInto(ctx)
	status := p.status()
	p.judgeRevision(ctx, status)
	p.publish(status)
}

// removed ends a tombstone: the bookkeeping goes, and the hub is told.
func (p *pass) removed(ctx context.Context) {
	needed := p.inv.DependsOn
	p.inv.Revision, p.inv.Hooks, p.inv.DependsOn, p.inv.Fate = "", inventory.Hooks{}, nil, inventory.Fate{}
	p.save(ctx)
	if p.problem != "" {
		return
	}
	p.r.tracker.Watch(p.name, p.inv.Account, nil)
	if len(p.events) > 0 {
		p.publish(&linkv1.BundleStatus{Bundle: p.name, State: linkv1.State_STATE_REMOVING, Removing: p.tombstone.GetGeneration()})
	}
	p.r.mu.Lock()
	_, back := p.r.set.Entries[p.name]
	if !back {
		delete(p.r.bundles, p.name)
	}
	p.r.mu.Unlock()
	if back {
		// The bundle came back meanwhile: the next pass applies it anew.
		return
	}
	p.r.config.Hub.Removed(p.name)
	p.r.wake(p.name, true)
	for _, other := range needed {
		p.r.queue.Add(other)
	}
}

func (p *pass) publish(status *linkv1.BundleStatus) {
	last := p.b.last()
	status.Changed = timestamppb.New(p.now)
	if last != nil && last.GetState() == status.GetState() && last.GetRevision() == status.GetRevision() {
		status.Changed = last.GetChanged()
	}
	if proto.Equal(last, status) && len(p.events) == 0 {
		return
	}
	p.b.mu.Lock()
	p.b.status = status
	p.b.mu.Unlock()
	if len(p.events) > maxEvents {
		p.events = p.events[len(p.events)-maxEvents:]
	}
	told := proto.Clone(status).(*linkv1.BundleStatus)
	told.Events, p.events = p.events, nil
	p.r.config.Hub.Report(told)
	if last.GetState() != status.GetState() {
		p.r.config.Log.Info("bundle changed its state", "bundle", p.name, "state", status.GetState().String(), "revision", status.GetRevision(),
			"message", status.GetMessage())
	}
	if last.GetState() != status.GetState() || last.GetAppliedRevision() != status.GetAppliedRevision() {
		p.r.wake(p.name, false)
	}
}

// status is the bundle's state as of this pass.
func (p *pass) status() *linkv1.BundleStatus {
	status := &linkv1.BundleStatus{Bundle: p.name, Revision: p.entry.GetRevision(), AppliedRevision: string(p.inv.Revision), Counts: &linkv1.Counts{}}
	tally := &tally{p: p, status: status, since: map[content.ObjectID]exceptionSince{}}
	for _, item := range p.manifest.Items {
		failed, progressing := tally.failed, tally.progressing
		if tally.item(item); p.holding && !p.isEarly(item) {
			// It is of the revision before: what is wrong with it says nothing of the one that comes.
			tally.failed, tally.progressing = failed, progressing
		}
	}
	tally.hook()
	tally.removals()
	p.b.since = tally.since
	status.State, status.Message = tally.verdict()
	if p.tombstone != nil && p.entry == nil {
		status.Removing = p.tombstone.GetGeneration()
	}
	if p.plan.HoldID != "" {
		status.PruneHold = &linkv1.PruneHold{Id: p.plan.HoldID, Objects: int32(len(p.plan.Held)), Budget: int32(p.plan.Budget)}
		for _, id := range p.plan.Held[:min(len(p.plan.Held), maxExamples)] {
			status.PruneHold.Examples = append(status.PruneHold.Examples, objectID(id))
		}
	}
	return status
}

// tally counts objects and collects those that are not applied and current.
type tally struct {
	p           *pass
	status      *linkv1.BundleStatus
	since       map[content.ObjectID]exceptionSince
	failed      string
	progressing string
	// patient is what progresses within a timeout of its own.
	patient string
	fight   string
}

func (t *tally) item(item content.Item) {
	counts := t.status.Counts
	counts.Objects++
	f := t.p.found[item.ObjectID]
	if failed, ok := t.p.b.failures[item.ObjectID]; ok {
		state := "failed"
		if failed.conflict {
			state = "conflict"
		}
		counts.Failed++
		t.except(f.id, state, failed.message)
		t.fail(f.id, failed.message)
		return
	}
	switch f.action {
	case TellMissing:
		counts.Drifted++
		t.except(f.id, "missing", f.reason)
		return
	case TellDrift, Repair:
		t.drift(f)
	case Nothing:
		if t.p.b.repairs[f.id].fighting() {
			t.drift(f)
		}
	default:
		t.unapplied(f)
		return
	}
	counts.Applied++
	live, _ := t.p.r.tracker.State(t.p.name, f.id)
	switch {
	case live.Health == observe.Ready:
		counts.Ready++
	case live.Health == observe.Failed:
		message := t.p.reason(f.id, live.Message)
		t.except(f.id, "unhealthy", message)
		t.fail(f.id, message)
	default:
		message := t.p.reason(f.id, live.Message)
		t.except(f.id, "progressing", message)
		t.unready(item, f.id, message)
	}
}

// drift counts an object that others changed; one that is fought over also while it is as it was repaired.
func (t *tally) drift(f finding) {
	message := f.reason
	if fight := t.p.b.repairs[f.id]; fight.fighting() {
		message = fight.message()
		if t.fight == "" {
			t.fight = fmt.Sprintf("%s: %s", f.id, message)
		}
	}
	t.status.Counts.Drifted++
	t.except(f.id, "drifted", message)
}

// hook says what is to be said of hooks.
func (t *tally) hook() {
	hook := t.p.hook
	if hook.id == (content.ObjectID{}) || hook.message == "" {
		return
	}
	state := "progressing"
	if hook.failed {
		state = "failed"
	}
	t.except(hook.id, state, hook.message)
}

func (t *tally) removals() {
	for _, decision := range t.p.plan.Decisions {
		id := decision.Record.ObjectID
		if _, stays := t.p.inv.Records[id]; !stays {
			continue
		}
		t.status.Counts.PrunePending++
		message := decision.Reason
		if message == "" {
			message = "is being removed"
		}
		t.except(id, "pruning", message)
		if decision.Verdict == prune.Waiting || decision.Verdict == prune.Later || decision.Verdict == prune.Delete {
			t.progress(id, message)
		}
	}
}

func (t *tally) except(id content.ObjectID, state, message string) {
	since, ok := t.p.b.since[id]
	if !ok || since.state != state {
		since = exceptionSince{state: state, since: timestamppb.New(t.p.now)}
	}
	t.since[id] = since
	if len(t.status.Exceptions) < maxExceptions {
		t.status.Exceptions = append(t.status.Exceptions, &linkv1.ObjectStatus{Id: objectID(id), State: state, Message: message, Since: since.since})
	}
}

func (t *tally) fail(id content.ObjectID, message string) {
	if t.failed == "" {
		t.failed = fmt.Sprintf("%s: %s", id, message)
	}
}

func (t *tally) progress(id content.ObjectID, message string) {
	if t.progressing == "" {
		t.progressing = fmt.Sprintf("%s: %s", id, message)
	}
}

// verdict is the bundle's state, the worst first.
func (t *tally) verdict() (linkv1.State, string) {
	p := t.p
	if t.progressing == "" || t.failed != "" || p.holding {
		p.b.progressing = time.Time{}
	}
	switch {
	case p.problem != "":
		return linkv1.State_STATE_FAILED, p.problem
	case p.entry != nil && p.inv.Aborted != "":
		return linkv1.State_STATE_FAILED, p.inv.Why
	case p.waiting == "" && p.hook.failed:
		return linkv1.State_STATE_FAILED, p.hook.message
	case p.entry == nil && p.waiting != "":
		return linkv1.State_STATE_REMOVING, p.waiting
	case p.entry == nil && p.hook.message != "":
		return linkv1.State_STATE_REMOVING, p.hook.message
	case p.entry == nil && p.plan.HoldID != "":
		return linkv1.State_STATE_HELD, t.holdMessage()
	case p.entry == nil:
		return linkv1.State_STATE_REMOVING, t.progressing
	case p.waiting != "":
		return linkv1.State_STATE_WAITING, p.waiting
	case t.failed != "":
		return linkv1.State_STATE_FAILED, t.failed
	case p.holding || t.progressing == "" && p.hook.message != "":
		return linkv1.State_STATE_PROGRESSING, p.hook.message
	case t.progressing != "":
		return t.healthTimeout()
	case t.patient != "":
		return linkv1.State_STATE_PROGRESSING, t.patient
	case p.plan.HoldID != "":
		return linkv1.State_STATE_HELD, t.holdMessage()
	default:
		return linkv1.State_STATE_READY, t.warning()
	}
}

// warning is what is to be said of a bundle that is ready.
func (t *tally) warning() string {
	warnings := t.p.r.tracker.Degraded(t.p.name)
	if t.fight != "" {
		warnings = append([]string{t.fight}, warnings...)
	}
	return strings.Join(warnings, "; ")
}

func (t *tally) holdMessage() string {
	plan := t.p.plan
	for _, decision := range plan.Decisions {
		if decision.Verdict == prune.Hold {
			return fmt.Sprintf("the removal of %d objects waits for a person, %s: %s", len(plan.Held), decision.Record.ObjectID, decision.Reason)
		}
	}
	return ""
}

// healthTimeout turns progress that takes too long into failure.
func (t *tally) healthTimeout() (linkv1.State, string) {
	p, limit := t.p, t.p.entry.GetOptions().GetHealthTimeout().AsDuration()
	if p.b.progressing.IsZero() {
		p.b.progressing = p.now
	}
	if limit <= 0 {
		return linkv1.State_STATE_PROGRESSING, t.progressing
	}
	left := p.b.progressing.Add(limit).Sub(p.now)
	if left <= 0 {
		return linkv1.State_STATE_FAILED, fmt.Sprintf("not ready after %s: %s", limit, t.progressing)
	}
	p.soon(left)
	return linkv1.State_STATE_PROGRESSING, t.progressing
}

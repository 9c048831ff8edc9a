package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/periplus-fleet/periplus/agent/apply"
	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/prune"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// pass is one go over one bundle.
type pass struct {
	r         *Reconciler
	b         *bundle
	set       desired.Set
	name      string
	entry     *linkv1.Entry
	tombstone *linkv1.Tombstone
	inv       inventory.Inventory
	now       time.Time
	// wait is the context of waits within the pass: a newer entry or an abort ends it.
	wait context.Context

	client   *kube.Client
	revision content.Digest
	// manifest holds the objects that are kept applied, namespace the default one of hooks.
	manifest  content.Manifest
	hooks     []content.Item
	namespace string
	// holding is true while hooks come before the entry's revision: the pass goes over the revision applied before, and
	// over early, what the hooks may need of the new one.
	holding bool
	// back is true while the pass goes over the last good revision, as the entry's failed.
	back  bool
	early []content.Item
	// hook says what is to be said of hooks; rerun that a person wants a failed one run again.
	hook  hookStatus
	rerun bool
	// waiting names what the entry's revision waits for; the pass then goes over the revision applied before.
	waiting string
	found   map[content.ObjectID]finding
	// looks counts what was read only to describe drift.
	looks  int
	events []*linkv1.ObjectEvent
	plan   prune.Plan
	served bool
	// unfinished is true while hooks follow the removal of the last object.
	unfinished bool
	// problem that concerns the bundle as a whole.
	problem string
	again   time.Duration
}

// finding is what a pass found of a manifest's item.
type finding struct {
	id     content.ObjectID
	action Action
	reason string
	// waits is true while lower waves come first.
	waits bool
}

// deliver brings a bundle to its entry.
func (p *pass) deliver(ctx context.Context) {
	defer p.report(ctx)
	if err := p.load(ctx); err != nil {
		p.problem = err.Error()
		p.soon(retryAfter(3))
		return
	}
	if p.b.takeFresh() {
		clear(p.b.failures)
	}
	if p.waiting == "" {
		p.inv.DependsOn = slices.Sorted(slices.Values(p.entry.GetOptions().GetDependsOn()))
	}
	if p.inv.Account != p.client.Account {
		p.inv.Account = p.client.Account
		p.r.watch(p.inv, p.entry)
	}
	todo := p.assess(ctx)
	if len(todo) > 0 && p.revision != p.inv.Revision {
		p.announce()
	}
	p.waves(ctx, todo)
	p.r.watch(p.inv, p.entry)
	current := p.whole() && p.waiting == "" && !p.holding
	if current {
		p.inv.Revision = p.revision
	}
	p.save(ctx)
	if current && !p.set.Relearning {
		p.prune(ctx)
	}
	switch {
	case p.problem != "" || p.inv.Aborted != "":
	case p.holding:
		p.before(ctx)
	case current:
		p.after(ctx)
	}
	if p.served {
		p.r.config.Served()
		p.r.wakeFailed(p.name)
	}
}

// load finds the revision to work on and its manifest.
func (p *pass) load(ctx context.Context) error {
	client, err := p.r.as(p.name, p.entry.GetOptions().GetServiceAccountName())
	if err != nil {
		return err
	}
	p.client = client
	p.recall()
	if back, err := p.goBack(ctx); back || err != nil {
		return err
	}
	p.revision = content.Digest(p.entry.GetRevision())
	p.waiting = p.waits()
	if p.waiting != "" {
		// Meanwhile what was applied before is kept as it was.
		p.keepPrevious(ctx, nil)
		return nil
	}
	manifest, err := p.r.config.Desired.Manifest(ctx, p.revision)
	if err != nil {
		return err
	}
	p.take(manifest)
	p.begin(ctx)
	return nil
}

// assess decides on every item, and returns those that need an apply.
func (p *pass) assess(ctx context.Context) []*task {
	p.found = make(map[content.ObjectID]finding, len(p.manifest.Items))
	var todo []*task
	for _, item := range p.manifest.Items {
		t := &task{item: item, id: item.ObjectID}
		t.record, t.recorded = p.inv.Find(item.ObjectID, p.manifest.DefaultNamespace)
		if t.recorded {
			t.id = t.record.ObjectID
			t.record.Keep, t.record.Always = item.KeepsWhenPruned(), item.PrunesAlways()
			p.inv.Records[t.id] = t.record
		}
		t.ignored = left(p.entry, t.id, t.once())
		t.input = apply.Input(p.client.Account, t.ignored, p.leftTo(t.id))
		action, reason, err := p.decide(ctx, t)
		action, reason = p.judge(ctx, t, action, reason)
		t.action = action
		p.found[item.ObjectID] = finding{id: t.id, action: action, reason: reason}
		p.tell(t, action, reason)
		failed, isFailed := p.b.failures[item.ObjectID]
		repairable := p.b.repairs[t.id].at()
		switch {
		case err != nil:
			p.fail(t, err, true)
		case action == Refuse:
			p.fail(t, conflictf("%s", reason), false)
		case action == Nothing || action == TellMissing || action == TellDrift:
			delete(p.b.failures, item.ObjectID)
		case isFailed && failed.digest == item.Digest && p.now.Before(failed.next):
			p.soon(failed.next.Sub(p.now))
		case action == Repair && p.now.Before(repairable):
			p.soon(repairable.Sub(p.now))
		default:
			todo = append(todo, t)
		}
	}
	maps.DeleteFunc(p.b.failures, func(id content.ObjectID, _ failure) bool { _, wanted := p.found[id]; return !wanted })
	return todo
}

func (p *pass) decide(ctx context.Context, t *task) (action Action, reason string, err error) {
	q := question{Bundle: p.name, Item: t.item, Input: t.input, Mode: p.entry.GetOptions().GetDriftMode(), Record: t.record, Recorded: t.recorded}
	q.Live, q.Known = p.r.tracker.State(p.name, t.id)
	if action, reason = decide(q); action != Look {
		return action, reason, nil
	}
	if q.Live, err = p.r.tracker.Look(ctx, p.name, t.id); err != nil {
		request := apply.Request{Bundle: p.name, ID: t.id}
		return Look, reason, fmt.Errorf("cannot look at it: %w", apply.Explain(err, p.client.Account, request))
	}
	q.Known = true
	action, reason = decide(q)
	return action, reason, nil
}

// tell makes drift that is only reported an event, once for each change.
func (p *pass) tell(t *task, action Action, reason string) {
	if action != TellDrift && action != TellMissing {
		delete(p.b.told, t.id)
		return
	}
	live, _ := p.r.tracker.State(p.name, t.id)
	if mark := string(action) + live.Fields; p.b.told[t.id] != mark {
		p.b.told[t.id] = mark
		p.event(t.id, "drift-reported", reason)
	}
}

// whole says that every item of the revision is applied.
func (p *pass) whole() bool {
	for _, f := range p.found {
		if f.action != Nothing && f.action != TellDrift && f.action != TellMissing {
			return false
		}
	}
	return len(p.b.failures) == 0 && p.found != nil
}

// lastWords is how long an agent that is told to end has for writing down what it did.
const lastWords = 5 * time.Second

func (p *pass) save(ctx context.Context) {
	if ctx.Err() != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
		defer cancel()
		ctx = last
	}
	if err := p.r.config.Inventory.Save(ctx, p.inv); err != nil {
		p.problem = err.Error()
		p.soon(retryAfter(1))
	}
}

// soon asks for another pass, at the earliest time that anyone asked for.
func (p *pass) soon(after time.Duration) {
	after = max(after, 10*time.Millisecond)
	if p.again == 0 || after < p.again {
		p.again = after
	}
}

func (p *pass) event(id content.ObjectID, kind, message string) {
	p.events = append(p.events, &linkv1.ObjectEvent{Id: objectID(id), Type: kind, Message: message, Time: timestamppb.New(p.r.config.Now())})
}

func objectID(id content.ObjectID) *linkv1.ObjectId {
	return &linkv1.ObjectId{Group: id.Group, Kind: id.Kind, Namespace: id.Namespace, Name: id.Name}
}

// phases groups tasks by phase, in order.
func phases(tasks []*task) [][]*task {
	slices.SortStableFunc(tasks, func(a, b *task) int { return cmp.Compare(a.item.Phase, b.item.Phase) })
	var grouped [][]*task
	for i, t := range tasks {
		if i == 0 || tasks[i-1].item.Phase != t.item.Phase {
			grouped = append(grouped, nil)
		}
		grouped[len(grouped)-1] = append(grouped[len(grouped)-1], t)
	}
	return grouped
}

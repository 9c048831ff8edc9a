package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/periplus-fleet/periplus/agent/observe"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// rollsBack is the failure policy that goes back; defaultHealth is how long a revision has that names no time.
const (
	rollsBack     = "Rollback"
	defaultHealth = 5 * time.Minute
)

// recall takes up what became of the entry's revision before: one that was rolled back or aborted stays so until another
// revision comes, or a person asks for it anew.
func (p *pass) recall() {
	revision := content.Digest(p.entry.GetRevision())
	fate := p.inv.Fate
	if fate.RolledBack != "" && fate.RolledBack != revision || fate.Aborted != "" && fate.Aborted != revision || p.rerun {
		p.inv.Fate, p.b.trying = fate.Retry(), time.Time{}
	}
	if p.entry.GetOptions().GetOnFailure() != rollsBack {
		// What is remembered only to go back to would be kept for nothing.
		p.inv.Good, p.inv.RolledBack = "", ""
	}
	if by := p.b.takeAbort(); by != "" {
		p.inv.Aborted, p.inv.Why = revision, "aborted by "+by
	}
}

// goBack makes the last good revision the one to work on, if the entry's failed.
func (p *pass) goBack(ctx context.Context) (bool, error) {
	if p.inv.RolledBack == "" || p.inv.Good == "" {
		return false, nil
	}
	manifest, err := p.r.config.Desired.Manifest(ctx, p.inv.Good)
	if err != nil {
		return false, fmt.Errorf("cannot go back to revision %s: %w", p.inv.Good, err)
	}
	p.revision, p.back = p.inv.Good, true
	p.take(manifest)
	// Hooks belong to a revision that comes, not to one that comes back.
	p.hooks = nil
	return true, nil
}

// trial is all that decides whether a bundle goes back.
type trial struct {
	// Policy as the bundle's options name it, Good the revision that was ready last, Revision the one that is worked on.
	Policy         string
	Good, Revision content.Digest
	State          linkv1.State
	// Lasting says that waiting mends nothing: the API server refuses the content, or an object has failed for good.
	Lasting bool
	// Tried is since when the revision is tried, Limit how long it may take.
	Tried, Limit time.Duration
}

// fails says whether a revision failed, so that the bundle goes back to the one before.
func (t trial) fails() bool {
	switch {
	case t.Policy != rollsBack || t.Good == "" || t.Good == t.Revision:
		return false
	case t.State == linkv1.State_STATE_FAILED:
		return t.Lasting || t.Tried >= t.Limit
	case t.State == linkv1.State_STATE_PROGRESSING:
		return t.Tried >= t.Limit
	default:
		return false
	}
}

// judgeRevision draws the consequences of a status: a revision that is ready is the last good one; one that fails is gone
// back from, if the bundle says so.
func (p *pass) judgeRevision(ctx context.Context, status *linkv1.BundleStatus) {
	if p.entry == nil || p.set.Relearning || p.inv.Aborted != "" || p.entry.GetOptions().GetOnFailure() != rollsBack {
		return
	}
	if p.back {
		p.sayBack(status)
		return
	}
	if p.waiting != "" || p.holding || p.problem != "" {
		return
	}
	if status.GetState() == linkv1.State_STATE_READY || status.GetState() == linkv1.State_STATE_HELD {
		p.b.trying = time.Time{}
		if p.inv.Good != p.revision {
			p.inv.Good = p.revision
			p.save(ctx)
		}
		return
	}
	if p.b.trying.IsZero() || p.b.tried != p.revision {
		p.b.trying, p.b.tried = p.now, p.revision
	}
	limit := p.entry.GetOptions().GetHealthTimeout().AsDuration()
	if limit <= 0 {
		limit = defaultHealth
	}
	t := trial{Policy: rollsBack, Good: p.inv.Good, Revision: p.revision, State: status.GetState(), Lasting: p.lasting(), Tried: p.now.Sub(p.b.trying), Limit: limit}
	if !t.fails() {
		p.soon(limit - t.Tried)
		return
	}
	before := p.inv.Fate
	p.inv.RolledBack, p.inv.Why = p.revision, status.GetMessage()
	if p.save(ctx); p.problem != "" {
		p.inv.Fate = before
		return
	}
	clear(p.b.failures)
	p.b.progressing, p.b.trying = time.Time{}, time.Time{}
	p.soon(0)
	p.sayBack(status)
}

// lasting says that something failed that no waiting mends.
func (p *pass) lasting() bool {
	if p.hook.failed && p.inv.Hooks.Failed != "" {
		return true
	}
	for _, failed := range p.b.failures {
		if failed.lasting {
			return true
		}
	}
	for _, item := range p.manifest.Items {
		f := p.found[item.ObjectID]
		if live, known := p.r.tracker.State(p.name, f.id); known && live.Exists && live.Health == observe.Failed && f.action == Nothing {
			return true
		}
	}
	return false
}

// sayBack makes of a status that of a bundle that went back.
func (p *pass) sayBack(status *linkv1.BundleStatus) {
	status.RolledBack = string(p.inv.RolledBack)
	now := ""
	switch {
	case !p.back:
		now = "; is going back"
	case status.GetState() == linkv1.State_STATE_FAILED:
		now = "; the revision before fails too: " + status.GetMessage()
	case status.GetState() != linkv1.State_STATE_READY:
		now = "; is going back: " + status.GetMessage()
	}
	status.State = linkv1.State_STATE_ROLLED_BACK
	status.Message = fmt.Sprintf("revision %s failed, went back to %s: %s%s", short(p.inv.RolledBack), short(p.inv.Good), p.inv.Why, now)
}

// short names a revision for people.
func short(revision content.Digest) string {
	return string(revision[:min(len(revision), len("sha256:")+8)])
}

// abort ends what a bundle waits for.
func (r *Reconciler) abort(command *linkv1.Abort) error {
	name := command.GetBundle()
	r.mu.Lock()
	defer r.mu.Unlock()
	entry := r.set.Entries[name]
	if entry == nil {
		return fmt.Errorf("cannot abort bundle %q: it is not on this cluster", name)
	}
	b := r.bundle(name)
	if state := b.last().GetState(); state == linkv1.State_STATE_READY && b.last().GetRevision() == entry.GetRevision() {
		return fmt.Errorf("cannot abort bundle %q: it waits for nothing", name)
	}
	b.mu.Lock()
	b.aborted = command.GetActor()
	if b.aborted == "" {
		b.aborted = "a person"
	}
	if b.interrupt != nil {
		b.interrupt()
	}
	b.mu.Unlock()
	r.queue.Add(name)
	return nil
}

// takeAbort is who asked for the end of what the bundle waits for, once; "" for nobody.
func (b *bundle) takeAbort() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	by := b.aborted
	b.aborted = ""
	return by
}

// waitable is a context for waits within a pass: what ends it is an abort, or another entry of the bundle.
func (b *bundle) waitable(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	b.mu.Lock()
	b.interrupt = cancel
	b.mu.Unlock()
	return ctx, func() {
		b.mu.Lock()
		b.interrupt = nil
		b.mu.Unlock()
		cancel()
	}
}

// stop ends what a pass of the bundle waits for.
func (b *bundle) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.interrupt != nil {
		b.interrupt()
	}
}

package reconcile

import (
	"context"
	"fmt"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// Do carries out a command of the hub; the error is its answer.
func (r *Reconciler) Do(ctx context.Context, command *linkv1.Command) error {
	if deadline := command.GetDeadline(); deadline.IsValid() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.AsTime())
		defer cancel()
	}
	switch {
	case command.GetConfirmPrune() != nil:
		return r.confirm(ctx, command.GetConfirmPrune())
	case command.GetReconcile() != nil:
		return r.now(command.GetReconcile().GetBundle())
	case command.GetAbort() != nil:
		return r.abort(command.GetAbort())
	default:
		return fmt.Errorf("cannot carry out command %q: this agent does not know it", command.GetId())
	}
}

func (r *Reconciler) confirm(ctx context.Context, command *linkv1.ConfirmPrune) error {
	r.mu.Lock()
	b, known := r.bundles[command.GetBundle()]
	r.mu.Unlock()
	held := ""
	if known {
		held = b.last().GetPruneHold().GetId()
	}
	if held == "" || held != command.GetHoldId() {
		return fmt.Errorf("cannot confirm hold %q of bundle %q: what is held now is %q", command.GetHoldId(), command.GetBundle(), held)
	}
	c := &confirmation{id: command.GetHoldId(), done: make(chan error, 1)}
	b.mu.Lock()
	if b.confirm != nil {
		b.mu.Unlock()
		return fmt.Errorf("cannot confirm hold %q of bundle %q: another confirmation is being carried out", command.GetHoldId(), command.GetBundle())
	}
	b.confirm = c
	b.mu.Unlock()
	r.queue.Add(command.GetBundle())
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.confirm == c {
			b.confirm = nil
		}
		return fmt.Errorf("cannot confirm hold %q of bundle %q in time: %w", command.GetHoldId(), command.GetBundle(), ctx.Err())
	}
}

// now has one bundle, or all, worked on at once, failures and failed hooks included.
func (r *Reconciler) now(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name != "" && r.set.Entries[name] == nil && r.set.Tombstones[name] == nil {
		return fmt.Errorf("cannot reconcile bundle %q: it is not on this cluster", name)
	}
	for other := range r.set.Entries {
		if name == "" || name == other {
			r.bundle(other).retry()
			r.bundle(other).again()
			r.queue.Add(other)
		}
	}
	for other := range r.set.Tombstones {
		if name == "" || name == other {
			r.bundle(other).again()
			r.queue.Add(other)
		}
	}
	return nil
}

// KeysChanged has what may have failed for want of a key tried again.
func (r *Reconciler) KeysChanged() { r.wakeFailed("") }

// wakeFailed has bundles with failures tried again, as a kind that they lacked may be served now.
func (r *Reconciler) wakeFailed(but string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, b := range r.bundles {
		if status := b.last(); name != but && (status.GetCounts().GetFailed() > 0 || status.GetState() == linkv1.State_STATE_FAILED) {
			b.retry()
			r.queue.Add(name)
		}
	}
}

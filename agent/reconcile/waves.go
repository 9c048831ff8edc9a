package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/periplus-fleet/periplus/agent/observe"
	"github.com/periplus-fleet/periplus/api/content"
)

// waves applies tasks wave after wave: what a wave makes or changes waits until all objects of lower waves are applied and
// healthy. Nobody stands still for that: the pass ends, and an object that becomes healthy brings the next one. Drift is
// repaired in any wave at once, as what runs there ran before.
func (p *pass) waves(ctx context.Context, todo []*task) {
	if p.inv.Aborted != "" {
		todo = slices.DeleteFunc(todo, func(t *task) bool { return t.action == Create || t.action == Change })
	}
	grouped := byWave(p.manifest.Items)
	if len(grouped) <= 1 || p.holding {
		p.apply(ctx, todo)
		return
	}
	var repairs []*task
	waiting := map[int][]*task{}
	for _, t := range todo {
		if t.action == Repair || t.action == Recreate {
			repairs = append(repairs, t)
		} else {
			waiting[t.item.Wave()] = append(waiting[t.item.Wave()], t)
		}
	}
	p.apply(ctx, repairs)
	for at, wave := range grouped {
		number := wave[0].Wave()
		p.apply(ctx, waiting[number])
		reason := p.unhealthy(wave)
		if reason == "" {
			continue
		}
		if p.b.wave != number {
			// Each wave has the bundle's whole time to become healthy.
			p.b.wave, p.b.progressing = number, p.now
		}
		for _, later := range slices.Concat(grouped[at+1:]...) {
			p.hold(later, fmt.Sprintf("waits for wave %d: %s", number, reason))
		}
		return
	}
}

// hold says of an object that would be made or changed that it waits.
func (p *pass) hold(item content.Item, reason string) {
	f := p.found[item.ObjectID]
	if f.action == Create || f.action == Change {
		f.reason, f.waits = reason, true
		p.found[item.ObjectID] = f
	}
}

// unhealthy says which object of a wave keeps the next one from beginning, and why; "" when none does.
func (p *pass) unhealthy(wave []content.Item) string {
	for _, item := range wave {
		f := p.found[item.ObjectID]
		failed, isFailed := p.b.failures[item.ObjectID]
		live, known := p.r.tracker.State(p.name, f.id)
		switch {
		case isFailed:
			return fmt.Sprintf("%s: %s", f.id, failed.message)
		case item.Applies() == content.ApplyIgnore || f.action == TellMissing:
		case f.action == Create || f.action == Change:
			return fmt.Sprintf("%s is not applied yet", f.id)
		case known && !live.Exists && f.action == Nothing:
			// A Job that is removed by itself once it is done.
		case !known:
			return fmt.Sprintf("%s is not known yet", f.id)
		case live.Health != observe.Ready:
			return fmt.Sprintf("%s: %s", f.id, cmp.Or(live.Message, "is not healthy"))
		}
	}
	return ""
}

// byWave groups items by wave, in order.
func byWave(items []content.Item) [][]content.Item {
	of := map[int][]content.Item{}
	var order []int
	for _, item := range items {
		if of[item.Wave()] == nil {
			order = append(order, item.Wave())
		}
		of[item.Wave()] = append(of[item.Wave()], item)
	}
	slices.Sort(order)
	grouped := make([][]content.Item, 0, len(order))
	for _, wave := range order {
		grouped = append(grouped, of[wave])
	}
	return grouped
}

// unapplied says of an object that it is not applied yet. The time of one that waits for others has not begun.
func (t *tally) unapplied(f finding) {
	switch {
	case !f.waits:
		t.progress(f.id, "is not applied yet")
	case t.patient == "":
		t.patient = fmt.Sprintf("%s: %s", f.id, f.reason)
	}
}

// unready says of an object that it is not healthy yet: within the bundle's time, or within its own if it has one.
func (t *tally) unready(item content.Item, id content.ObjectID, message string) {
	limit := item.Timeout()
	if limit == 0 {
		t.progress(id, message)
		return
	}
	left := t.since[id].since.AsTime().Add(limit).Sub(t.p.now)
	switch {
	case left <= 0:
		t.fail(id, fmt.Sprintf("not ready after %s: %s", limit, message))
		return
	case t.patient == "":
		t.patient = fmt.Sprintf("%s: %s", id, message)
	}
	t.p.soon(left)
}

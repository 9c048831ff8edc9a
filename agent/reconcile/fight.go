package reconcile

import (
	"fmt"
	"time"

	"github.com/periplus-fleet/periplus/agent/owned"
	"github.com/periplus-fleet/periplus/api/content"
)

const (
	// People undo a repair a few times; more than freeRepairs in a row is a fight between two controllers, and each further
	// repair waits longer, so that they do not write for ever.
	freeRepairs = 10
	lastRepair  = time.Minute
	// defaultTruce is how long an object has to stay as it was repaired for a streak of repairs to end.
	defaultTruce = time.Minute
)

// repair is what is remembered of an object's repairs while they follow each other.
type repair struct {
	first  time.Time
	last   time.Time
	streak int
	// who undoes them, and what.
	who  string
	what string
}

// again is the streak after another repair.
func (r repair) again(now time.Time, truce time.Duration) repair {
	if r.streak == 0 || !now.Before(r.ends(truce)) {
		r = repair{first: now}
	}
	r.last, r.streak = now, r.streak+1
	return r
}

// fighting says that another keeps undoing the repairs.
func (r repair) fighting() bool { return r.streak > freeRepairs }

// at is when the object may be repaired again.
func (r repair) at() time.Time { return repairAt(r.last, r.streak) }

// ends is when the streak is over, if nothing comes in between.
func (r repair) ends(truce time.Duration) time.Time { return r.at().Add(truce) }

func (r repair) rival() string {
	if r.who == "" {
		return "another, whom the API server does not name,"
	}
	return r.who
}

func (r repair) fields() string {
	if r.what == "" {
		return "its fields"
	}
	return r.what
}

// message of a fight that goes on; it stays the same meanwhile.
func (r repair) message() string {
	return fmt.Sprintf("fight with %s over %s: each repair is undone, so that repairs wait longer and longer, up to %s", r.rival(), r.fields(), lastRepair)
}

// repairAt says when an object that was repaired before may be repaired again.
func repairAt(last time.Time, streak int) time.Time {
	if streak <= freeRepairs {
		return last
	}
	return last.Add(min(time.Second<<min(streak-freeRepairs-1, 10), lastRepair))
}

func (r *Reconciler) truce() time.Duration {
	if r.config.Truce > 0 {
		return r.config.Truce
	}
	return defaultTruce
}

// repaired tells of a repair, and of the fight that it may be part of.
func (p *pass) repaired(id content.ObjectID, reason string) {
	before := p.b.repairs[id]
	now := before.again(p.now, p.r.truce())
	if found := p.b.drifts[id]; len(found.changes) > 0 {
		now.who, now.what = owned.Who(found.changes), owned.What(found.changes)
	}
	delete(p.b.drifts, id)
	p.b.repairs[id] = now
	p.event(id, "drift-repaired", reason)
	if !now.fighting() {
		return
	}
	if !before.fighting() || before.who != now.who {
		p.event(id, "fight", fmt.Sprintf("with %s over %s: repaired %d times in %s and undone each time; repairs wait longer from now on, up to %s",
			now.rival(), now.fields(), now.streak, now.last.Sub(now.first).Round(time.Second/10), lastRepair))
	}
	p.soon(now.ends(p.r.truce()).Sub(p.now))
}

// rests is asked of every object that needs no repair: a streak ends once it was left alone for long enough.
func (p *pass) rests(id content.ObjectID) {
	last, ok := p.b.repairs[id]
	if !ok {
		return
	}
	if left := last.ends(p.r.truce()).Sub(p.now); left > 0 {
		if last.fighting() {
			p.soon(left)
		}
		return
	}
	delete(p.b.repairs, id)
	if last.fighting() {
		p.event(id, "fight-ended", fmt.Sprintf("with %s over %s: the last of %d repairs lasts", last.rival(), last.fields(), last.streak))
	}
}

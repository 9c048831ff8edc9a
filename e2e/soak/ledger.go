package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// ledger knows what every object has to be, and hears what each one becomes. Values are never used twice, so that a value
// that comes back without a cause is a change that was made twice.
type ledger struct {
	mu   sync.Mutex
	want map[string]string
	// live is what objects were seen to be last.
	live map[string]string
	// due counts how often a value may still appear.
	due map[[2]string]int
	// drifted are objects whose repair is awaited, since when.
	drifted map[string]time.Time
	repairs []time.Duration
	doubled []string
}

func newLedger() *ledger {
	return &ledger{want: map[string]string{}, live: map[string]string{}, due: map[[2]string]int{}, drifted: map[string]time.Time{}}
}

// Want says that the fleet repo has an object with a value from now on.
func (l *ledger) Want(name, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.want[name] = value
	l.due[[2]string{name, value}]++
	delete(l.drifted, name)
}

// Unwant says that the fleet repo has the object no more.
func (l *ledger) Unwant(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.want, name)
	delete(l.drifted, name)
}

// Drift says that somebody is about to give an object another value, or to delete it: "". The agent is to repair it;
// how soon counts only where it can. The result takes it back.
func (l *ledger) Drift(name, value string, at time.Time, counts bool) (undo func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	right := [2]string{name, l.want[name]}
	l.due[right]++
	if value != "" {
		l.due[[2]string{name, value}]++
	}
	if counts {
		l.drifted[name] = at
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.due[right]--
		delete(l.drifted, name)
	}
}

// Right says that an object was seen to be what it has to be, and that nobody changed it since.
func (l *ledger) Right(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	live, exists := l.live[name]
	return exists && live == l.want[name]
}

// Saw hears of an object's value.
func (l *ledger) Saw(name, value string, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, exists := l.live[name]; exists && known == value {
		return
	}
	l.live[name] = value
	key := [2]string{name, value}
	l.due[key]--
	if l.due[key] < 0 {
		l.doubled = append(l.doubled, fmt.Sprintf("%s became %q once more than it was asked to", name, value))
	}
	if since, waiting := l.drifted[name]; waiting && value == l.want[name] {
		l.repairs = append(l.repairs, at.Sub(since))
		delete(l.drifted, name)
	}
}

// Gone hears that an object was deleted.
func (l *ledger) Gone(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.live, name)
}

// Complaint compares what is in the cluster with what has to be; "" when it is the same.
func (l *ledger) Complaint(found map[string]string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(l.want)) {
		value, exists := found[name]
		switch {
		case !exists:
			return fmt.Sprintf("%s is not there", name)
		case value != l.want[name]:
			return fmt.Sprintf("%s is %q, and has to be %q", name, value, l.want[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if _, wanted := l.want[name]; !wanted {
			return fmt.Sprintf("%s is there, and is to be gone", name)
		}
	}
	return ""
}

// Doubled changes so far.
func (l *ledger) Doubled() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.doubled)
}

// Repairs so far.
func (l *ledger) Repairs() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.repairs)
}

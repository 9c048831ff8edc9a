// Package pace decides how many calls an agent makes to its API server at once. There is one limit for all bundles: it
// grows by one with each round of calls that went well, and is cut when the server says that it has too much to do (429,
// which its priority and fairness says, too) or when its answers take much longer than they did. The reconciler takes a
// place for each apply; the transport tells what became of calls.
package pace

import (
	"context"
	"sync"
	"time"
)

// The bounds of the limit: Start is where it begins, so that a healthy server is used well from the first call on.
const (
	Least = 1
	Start = 16
	Most  = 32
)

const (
	// slow is how many times the usual a call takes that says the server is busy; what takes less than noticeable says nothing.
	slow       = 4
	noticeable = 250 * time.Millisecond
	// pause is how long after a cut the next one comes at the earliest: calls that were on their way tell of the time before.
	pause = time.Second
	// longest bounds what a server may ask an agent to wait.
	longest = time.Minute
	// firstWait is for a refusal that does not say how long to wait.
	firstWait = time.Second
)

// Sample is what became of a call.
type Sample struct {
	Latency time.Duration
	// Throttled says that the server refused it as it has too much to do; RetryAfter is when it may have time, 0 if untold.
	Throttled  bool
	RetryAfter time.Duration
}

// State is the limit and what it was learnt from.
type State struct {
	Limit float64
	// Usual is how long a call takes while the server is at ease.
	Usual time.Duration
	// Until is when the next call may begin, Cut when the limit was cut last.
	Until, Cut time.Time
}

// After is the state once a call came to its end.
func (s State) After(now time.Time, sample Sample) State {
	if sample.Throttled {
		wait := sample.RetryAfter
		if wait <= 0 {
			wait = firstWait
		}
		if until := now.Add(min(wait, longest)); until.After(s.Until) {
			s.Until = until
		}
		return s.cut(now, 0.5)
	}
	busy := s.Usual > 0 && sample.Latency > noticeable && sample.Latency > slow*s.Usual
	switch {
	case s.Usual == 0 || sample.Latency < s.Usual:
		s.Usual = sample.Latency
	default:
		// Slowly, so that a server that is slow for good is not held for busy for ever.
		s.Usual += (sample.Latency - s.Usual) / 64
	}
	if busy {
		return s.cut(now, 0.75)
	}
	s.Limit = min(s.Limit+1/s.Limit, Most)
	return s
}

func (s State) cut(now time.Time, by float64) State {
	if now.Sub(s.Cut) >= pause {
		s.Limit, s.Cut = max(s.Limit*by, Least), now
	}
	return s
}

// Limiter hands out places for calls.
type Limiter struct {
	now func() time.Time

	mu      sync.Mutex
	state   State
	running int
	// changed is closed and made anew when a place may be free.
	changed chan struct{}
}

// New is a limiter at its start.
func New(now func() time.Time) *Limiter {
	return &Limiter{now: now, state: State{Limit: Start}, changed: make(chan struct{})}
}

// Take waits for a place; false when ctx ended first. Who has one gives it back with Give.
func (l *Limiter) Take(ctx context.Context) bool {
	for ctx.Err() == nil {
		l.mu.Lock()
		wait := l.state.Until.Sub(l.now())
		if wait <= 0 && l.running < int(l.state.Limit) {
			l.running++
			l.mu.Unlock()
			return true
		}
		changed := l.changed
		l.mu.Unlock()
		if wait <= 0 {
			wait = longest
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return false
}

// Give gives a place back.
func (l *Limiter) Give() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	l.tell()
}

// Saw learns from a call.
func (l *Limiter) Saw(sample Sample) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = l.state.After(l.now(), sample)
	l.tell()
}

// State is the limit as it is now.
func (l *Limiter) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

func (l *Limiter) tell() {
	close(l.changed)
	l.changed = make(chan struct{})
}

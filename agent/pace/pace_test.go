package pace

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	usual := 20 * time.Millisecond
	cases := map[string]struct {
		reason string
		state  State
		sample Sample
		want   State
	}{
		"First":        {"the first call says what is usual", State{Limit: 16}, Sample{Latency: usual}, State{Limit: 16.0625, Usual: usual}},
		"Grows":        {"by one for as many calls as there are places", State{Limit: 4, Usual: usual}, Sample{Latency: usual}, State{Limit: 4.25, Usual: usual}},
		"Most":         {"and not without end", State{Limit: Most, Usual: usual}, Sample{Latency: usual}, State{Limit: Most, Usual: usual}},
		"Throttled":    {"half of it, and nothing before the server may have time", State{Limit: 16, Usual: usual}, Sample{Throttled: true, RetryAfter: 3 * time.Second}, State{Limit: 8, Usual: usual, Until: now.Add(3 * time.Second), Cut: now}},
		"Untold":       {"a refusal that does not say how long", State{Limit: 16}, Sample{Throttled: true}, State{Limit: 8, Until: now.Add(time.Second), Cut: now}},
		"TooLong":      {"a server cannot stop an agent for good", State{Limit: 16}, Sample{Throttled: true, RetryAfter: time.Hour}, State{Limit: 8, Until: now.Add(time.Minute), Cut: now}},
		"Storm":        {"refusals of calls that were on their way cut once", State{Limit: 8, Cut: now.Add(-100 * time.Millisecond), Until: now.Add(time.Second)}, Sample{Throttled: true, RetryAfter: time.Second}, State{Limit: 8, Cut: now.Add(-100 * time.Millisecond), Until: now.Add(time.Second)}},
		"Least":        {"one call at a time is always made", State{Limit: 1}, Sample{Throttled: true}, State{Limit: 1, Until: now.Add(time.Second), Cut: now}},
		"Slow":         {"a server that answers late is busy", State{Limit: 16, Usual: usual}, Sample{Latency: 660 * time.Millisecond}, State{Limit: 12, Usual: 30 * time.Millisecond, Cut: now}},
		"Unnoticeable": {"what is late by little says nothing", State{Limit: 4, Usual: time.Millisecond}, Sample{Latency: 65 * time.Millisecond}, State{Limit: 4.25, Usual: 2 * time.Millisecond}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.state.After(now, c.sample)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestLimiterBounds(t *testing.T) {
	l := New(time.Now)
	l.state = State{Limit: 3, Cut: time.Now().Add(time.Hour)}
	var running, most atomic.Int32
	var tasks sync.WaitGroup
	for range 50 {
		tasks.Go(func() {
			if !l.Take(t.Context()) {
				t.Error("no place")
				return
			}
			defer l.Give()
			for now := running.Add(1); ; {
				if seen := most.Load(); now <= seen || most.CompareAndSwap(seen, now) {
					break
				}
			}
			running.Add(-1)
		})
	}
	tasks.Wait()
	if most.Load() > 3 {
		t.Errorf("%d at once, want at most 3", most.Load())
	}
	l.Saw(Sample{Throttled: true, RetryAfter: time.Hour})
	ended, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if l.Take(ended) {
		t.Error("a call begins before the server has time")
	}
}

package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestLedger(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	after := func(d time.Duration) time.Time { return start.Add(d) }
	type outcome struct {
		Doubled int
		Repairs []time.Duration
	}
	cases := map[string]struct {
		reason string
		do     func(l *ledger)
		want   outcome
	}{
		"Applied": {reason: "an object that becomes what it has to be is right",
			do: func(l *ledger) { l.Want("a", "1"); l.Saw("a", "1", start) }},
		"SeenAgain": {reason: "the same value again is no change",
			do: func(l *ledger) { l.Want("a", "1"); l.Saw("a", "1", start); l.Saw("a", "1", start) }},
		"Skipped": {reason: "a value that was replaced before it was applied may be left out",
			do: func(l *ledger) { l.Want("a", "1"); l.Want("a", "2"); l.Saw("a", "2", start) }},
		"Back": {reason: "an old value that comes back was applied twice", want: outcome{Doubled: 1},
			do: func(l *ledger) {
				l.Want("a", "1")
				l.Saw("a", "1", start)
				l.Want("a", "2")
				l.Saw("a", "2", start)
				l.Saw("a", "1", start)
			}},
		"MadeTwice": {reason: "an object that nobody deleted but the agent was made twice", want: outcome{Doubled: 1},
			do: func(l *ledger) { l.Want("a", "1"); l.Saw("a", "1", start); l.Gone("a"); l.Saw("a", "1", start) }},
		"Repaired": {reason: "a repair is no second change, and its time counts", want: outcome{Repairs: []time.Duration{time.Second}},
			do: func(l *ledger) {
				l.Want("a", "1")
				l.Saw("a", "1", start)
				l.Drift("a", "x", start, true)
				l.Saw("a", "x", after(time.Millisecond))
				l.Saw("a", "1", after(time.Second))
			}},
		"MadeAnew": {reason: "an object that somebody deleted is made again", want: outcome{Repairs: []time.Duration{time.Second}},
			do: func(l *ledger) {
				l.Want("a", "1")
				l.Saw("a", "1", start)
				l.Drift("a", "", start, true)
				l.Gone("a")
				l.Saw("a", "1", after(time.Second))
			}},
		"ChangedMeanwhile": {reason: "a new value ends the wait for the old one",
			do: func(l *ledger) {
				l.Want("a", "1")
				l.Saw("a", "1", start)
				l.Drift("a", "x", start, true)
				l.Saw("a", "x", start)
				l.Want("a", "2")
				l.Saw("a", "2", after(time.Second))
			}},
		"TakenBack": {reason: "a change that failed allows nothing", want: outcome{Doubled: 1},
			do: func(l *ledger) {
				l.Want("a", "1")
				l.Saw("a", "1", start)
				l.Drift("a", "", start, true)()
				l.Gone("a")
				l.Saw("a", "1", start)
			}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			c.do(l)
			if diff := cmp.Diff(c.want, outcome{len(l.Doubled()), l.Repairs()}, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestComplaint(t *testing.T) {
	l := newLedger()
	l.Want("a", "1")
	l.Want("b", "2")
	l.Unwant("b")
	cases := map[string]struct {
		reason string
		found  map[string]string
		want   string
	}{
		"Right":   {reason: "the same is the same", found: map[string]string{"a": "1"}},
		"Missing": {reason: "a change may not be lost", found: map[string]string{}, want: "a is not there"},
		"Stale":   {reason: "an old value is a lost change", found: map[string]string{"a": "0"}, want: `a is "0", and has to be "1"`},
		"Left":    {reason: "a removal is a change too", found: map[string]string{"a": "1", "b": "2"}, want: "b is there, and is to be gone"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, l.Complaint(c.found)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

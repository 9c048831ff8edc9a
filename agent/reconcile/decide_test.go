package reconcile

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/observe"
	"github.com/periplus-fleet/periplus/api/content"
)

func TestDecide(t *testing.T) {
	applied := question{
		Bundle: "fleet/a", Item: content.Item{Digest: "d"}, Input: "i", Recorded: true, Known: true,
		Record: inventory.Record{UID: "u", Digest: "d", Input: "i", Fields: "f"},
		Live:   observe.Extract{Exists: true, UID: "u", Owner: "fleet/a", Fields: "f"},
	}
	with := func(change func(*question)) question {
		q := applied
		change(&q)
		return q
	}
	cases := map[string]struct {
		reason string
		q      question
		want   Action
	}{
		"AppliedAndClean":       {"nothing is written at rest", applied, Nothing},
		"New":                   {"", with(func(q *question) { q.Recorded = false }), Create},
		"Unsettled":             {"a crash came between writing down and applying", with(func(q *question) { q.Record.UID = "" }), Create},
		"NewContent":            {"", with(func(q *question) { q.Item.Digest = "e" }), Change},
		"NewContentWins":        {"drift of what changes anyway is no event", with(func(q *question) { q.Item.Digest = "e"; q.Live.Fields = "x" }), Change},
		"NewOptions":            {"", with(func(q *question) { q.Input = "j" }), Change},
		"Unknown":               {"not seen is not missing", with(func(q *question) { q.Known = false; q.Live = observe.Extract{} }), Look},
		"Deleted":               {"", with(func(q *question) { q.Live = observe.Extract{} }), Recreate},
		"DoneAndGone":           {"a Job with a TTL is not run again", with(func(q *question) { q.Live = observe.Extract{}; q.Record.Transient = true }), Nothing},
		"DeletedAndReport":      {"", with(func(q *question) { q.Live = observe.Extract{}; q.Mode = "Report" }), TellMissing},
		"DeletedAndIgnore":      {"", with(func(q *question) { q.Live = observe.Extract{}; q.Mode = "Ignore" }), TellMissing},
		"Replaced":              {"another object is never taken over", with(func(q *question) { q.Live.UID = "v" }), Refuse},
		"TakenByAnotherBundle":  {"", with(func(q *question) { q.Live.Owner = "fleet/b"; q.Live.Fields = "x" }), Refuse},
		"Drifted":               {"", with(func(q *question) { q.Live.Fields = "x" }), Repair},
		"DriftedByLostMarks":    {"a lost annotation is drift of a field like any other", with(func(q *question) { q.Live.Fields = "x"; q.Live.Owner = "" }), Repair},
		"DriftedAndCorrect":     {"", with(func(q *question) { q.Live.Fields = "x"; q.Mode = "Correct" }), Repair},
		"DriftedAndReport":      {"", with(func(q *question) { q.Live.Fields = "x"; q.Mode = "Report" }), TellDrift},
		"DriftedAndIgnore":      {"", with(func(q *question) { q.Live.Fields = "x"; q.Mode = "Ignore" }), Nothing},
		"CleanThoughUnhealthy":  {"health is not drift", with(func(q *question) { q.Live.Health = observe.Failed }), Nothing},
		"CleanThoughVersionNew": {"a status update is not drift", with(func(q *question) { q.Live.ResourceVersion = "9" }), Nothing},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, _ := decide(c.q)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestRepairsOfAFightSlowDown(t *testing.T) {
	now := time.Unix(1000, 0)
	cases := map[string]struct {
		reason string
		streak int
		want   time.Duration
	}{
		"Never":  {"the first is prompt", 0, 0},
		"People": {"and so are those that people undo", freeRepairs, 0},
		"Fight":  {"a fight is slowed down", freeRepairs + 1, time.Second},
		"Longer": {"more and more", freeRepairs + 2, 2 * time.Second},
		"Often":  {"to a minute at most", 30, time.Minute},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, repairAt(now, c.streak).Sub(now)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

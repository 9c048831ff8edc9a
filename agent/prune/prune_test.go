package prune_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/prune"
	"github.com/periplus-fleet/periplus/api/content"
)

const bundle = "fleet/a"

func record(name string, phase int) inventory.Record {
	return inventory.Record{ObjectID: content.ObjectID{Kind: "ConfigMap", Namespace: "x", Name: name}, UID: "uid-" + name, Phase: phase}
}

func alive(name string) prune.Live {
	return prune.Live{Known: true, Exists: true, UID: "uid-" + name, Owner: bundle}
}

func TestDecide(t *testing.T) {
	type object struct {
		record   inventory.Record
		live     prune.Live
		wanted   bool
		assigned string
	}
	one := func(change func(*object)) []object {
		o := object{record: record("o", 4), live: alive("o")}
		change(&o)
		return []object{o}
	}
	many := func(count int, change func(i int, o *object)) []object {
		var objects []object
		for i := range count {
			name := fmt.Sprintf("o%02d", i)
			o := object{record: record(name, 4), live: alive(name)}
			change(i, &o)
			objects = append(objects, o)
		}
		return objects
	}
	cases := map[string]struct {
		reason    string
		objects   []object
		budget    prune.Budget
		orphan    bool
		confirmed bool
		want      map[prune.Verdict]int
		held      bool
	}{
		"Wanted":               {"", one(func(o *object) { o.wanted = true }), prune.Budget{}, false, false, map[prune.Verdict]int{}, false},
		"NoLongerWanted":       {"", one(func(o *object) {}), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Delete: 1}, false},
		"MovesToAnother":       {"the giver keeps it until the taker has it", one(func(o *object) { o.assigned = "fleet/b" }), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Keep: 1}, false},
		"MovedToAnother":       {"", one(func(o *object) { o.assigned = "fleet/b"; o.live.Owner = "fleet/b" }), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Forget: 1}, false},
		"Kept":                 {"prune: never", one(func(o *object) { o.record.Keep = true }), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Forget: 1}, false},
		"KeptMovesToAnother":   {"another bundle's is no orphan", one(func(o *object) { o.record.Keep = true; o.assigned = "fleet/b" }), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Keep: 1}, false},
		"OtherUID":             {"somebody else made an object of this name", one(func(o *object) { o.live.UID = "other" }), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Forget: 1}, false},
		"MarksRemoved":         {"an owner annotation taken off by a person keeps the object", one(func(o *object) { o.live.Owner = "" }), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Forget: 1}, false},
		"Gone":                 {"", one(func(o *object) { o.live = prune.Live{Known: true} }), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Forget: 1}, false},
		"NotKnown":             {"an error is no cause", one(func(o *object) { o.live = prune.Live{} }), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Keep: 1}, false},
		"UnsettledAndNotOurs":  {"", one(func(o *object) { o.record.UID = ""; o.live.Owner = "" }), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Forget: 1}, false},
		"UnsettledAndOurs":     {"a crash came after the apply", one(func(o *object) { o.record.UID = "" }), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Delete: 1}, false},
		"BeingDeleted":         {"", one(func(o *object) { o.live.Deleting = true; o.live.Finalizers = "[x/y]" }), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Waiting: 1}, false},
		"Precious":             {"", one(func(o *object) { o.live.Precious = "holds data" }), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Hold: 1}, true},
		"PreciousAndConfirmed": {"", one(func(o *object) { o.live.Precious = "holds data"; o.record.Confirmed = true }), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Delete: 1}, false},
		"Orphan":               {"nothing is even looked at", one(func(o *object) { o.live = prune.Live{} }), prune.Budget{}, true, false, map[prune.Verdict]int{prune.Forget: 1}, false},
		"AtBudget":             {"", many(10, func(int, *object) {}), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Delete: 10}, false},
		"AboveBudget":          {"", many(11, func(int, *object) {}), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Hold: 11}, true},
		"WithinPercent": {"25 of 100", many(100, func(i int, o *object) { o.wanted = i >= 25 }), prune.Budget{}, false, false,
			map[prune.Verdict]int{prune.Delete: 25}, false},
		"AbovePercent": {"26 of 100", many(100, func(i int, o *object) { o.wanted = i >= 26 }), prune.Budget{}, false, false,
			map[prune.Verdict]int{prune.Hold: 26}, true},
		"OwnBudget":           {"", many(2, func(int, *object) {}), prune.Budget{Objects: 1, Set: true}, false, false, map[prune.Verdict]int{prune.Hold: 2}, true},
		"AboveButConfirmed":   {"", many(11, func(int, *object) {}), prune.Budget{}, false, true, map[prune.Verdict]int{prune.Delete: 11}, false},
		"EachConfirmed":       {"a confirmation outlives a restart", many(11, func(_ int, o *object) { o.record.Confirmed = true }), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Delete: 11}, false},
		"LaterPhasesGoFirst":  {"", many(2, func(i int, o *object) { o.record.Phase = i }), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Delete: 1, prune.Later: 1}, false},
		"FinalizerHoldsOrder": {"", many(2, func(i int, o *object) { o.record.Phase = i; o.live.Deleting = i == 1 }), prune.Budget{}, false, false, map[prune.Verdict]int{prune.Waiting: 1, prune.Later: 1}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			byID := map[content.ObjectID]object{}
			in := prune.Input{Bundle: bundle, Orphan: c.orphan, Confirmed: c.confirmed, Budget: c.budget,
				Assigned: func(id content.ObjectID) (string, bool) { return byID[id].assigned, byID[id].assigned != "" },
				Wanted:   func(id content.ObjectID) bool { return byID[id].wanted },
				Live:     func(r inventory.Record) prune.Live { return byID[r.ObjectID].live },
			}
			for _, o := range c.objects {
				byID[o.record.ObjectID] = o
				in.Records = append(in.Records, o.record)
			}
			plan := prune.Decide(in)
			got := map[prune.Verdict]int{}
			for _, decision := range plan.Decisions {
				got[decision.Verdict]++
				if decision.Verdict == prune.Delete && decision.Record.UID != byID[decision.Record.ObjectID].live.UID {
					t.Errorf("%s would be deleted without its UID", decision.Record.ObjectID)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
			if (plan.HoldID != "") != c.held {
				t.Errorf("hold is %q, want held %v", plan.HoldID, c.held)
			}
		})
	}
}

// What a killed agent asked for may come about after the next one has looked: it is not forgotten at once.
func TestWhatMayStillComeAboutIsNotForgotten(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		early  bool
		uid    string
		want   prune.Verdict
	}{
		"Early":   {"it was being made", true, "", prune.Waiting},
		"Later":   {"it did not come about", false, "", prune.Forget},
		"Settled": {"it was there, and is gone", true, "uid-o", prune.Forget},
	} {
		t.Run(name, func(t *testing.T) {
			absent := record("o", 0)
			absent.UID = c.uid
			plan := prune.Decide(prune.Input{Bundle: bundle, Early: c.early, Records: []inventory.Record{absent}, Wanted: func(content.ObjectID) bool { return false },
				Assigned: func(content.ObjectID) (string, bool) { return "", false }, Live: func(inventory.Record) prune.Live { return prune.Live{Known: true} }})
			if got := plan.Decisions[0].Verdict; got != c.want {
				t.Errorf("%s: got %s, want %s", c.reason, got, c.want)
			}
		})
	}
}

func TestHoldNamesWhatIsHeld(t *testing.T) {
	decide := func(names ...string) prune.Plan {
		in := prune.Input{Bundle: bundle, Budget: prune.Budget{Set: true},
			Assigned: func(content.ObjectID) (string, bool) { return "", false }, Wanted: func(content.ObjectID) bool { return false },
			Live: func(r inventory.Record) prune.Live { return alive(r.Name) }}
		for _, name := range names {
			in.Records = append(in.Records, record(name, 0))
		}
		return prune.Decide(in)
	}
	if a, b := decide("x", "y").HoldID, decide("y", "x").HoldID; a != b {
		t.Errorf("the same objects are held as %q and %q", a, b)
	}
	if a, b := decide("x").HoldID, decide("x", "y").HoldID; a == b {
		t.Error("other objects are held under the same id")
	}
}

func TestDecideGoesBackwards(t *testing.T) {
	made := func(kind string, wave, phase int) inventory.Record {
		r := record(fmt.Sprintf("%s-%d-%d", kind, wave, phase), phase)
		r.Kind, r.Wave = kind, wave
		return r
	}
	want := []string{"ConfigMap-2-3", "ConfigMap-1-9", "ConfigMap-1-4", "ConfigMap--1-9", "Namespace-5-0", "Namespace-0-0"}
	left := []inventory.Record{made("Namespace", 5, 0), made("ConfigMap", -1, 9), made("ConfigMap", 1, 4), made("ConfigMap", 2, 3), made("Namespace", 0, 0), made("ConfigMap", 1, 9)}
	var got []string
	for len(left) > 0 {
		plan := prune.Decide(prune.Input{Bundle: bundle, Records: left, Confirmed: true, Wanted: func(content.ObjectID) bool { return false },
			Assigned: func(content.ObjectID) (string, bool) { return "", false }, Live: func(r inventory.Record) prune.Live { return alive(r.Name) }})
		if count := plan.Count(prune.Delete); count != 1 {
			t.Fatalf("%d objects go at once after %v", count, got)
		}
		left = nil
		for _, decision := range plan.Decisions {
			if decision.Verdict == prune.Delete {
				got = append(got, decision.Record.Name)
			} else {
				left = append(left, decision.Record)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("removed in another order (-want +got):\n%s", diff)
	}
}

package hooks_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/agent/hooks"
	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/api/content"
)

func hook(kind, name string, weight int, events ...string) content.Item {
	group := ""
	if kind == "Job" {
		group = "batch"
	}
	return content.Item{ObjectID: content.ObjectID{Group: group, Kind: kind, Name: name}, Phase: content.PhaseOf(group, kind),
		Hook: &content.Hook{Events: events, Weight: weight}}
}

func TestOf(t *testing.T) {
	all := []content.Item{hook("Job", "b", 0, "pre-install"), hook("Job", "a", 0, "pre-install", "post-install"),
		hook("ConfigMap", "z", 0, "pre-install"), hook("Job", "first", -5, "pre-install"), hook("Job", "other", 0, "test")}
	var got []string
	for _, item := range hooks.Of(all, content.HookPreInstall) {
		got = append(got, item.Name)
	}
	if diff := cmp.Diff([]string{"first", "z", "a", "b"}, got); diff != "" {
		t.Errorf("weight, then phase, kind and name: -want +got:\n%s", diff)
	}
}

func TestSplit(t *testing.T) {
	object := content.Item{ObjectID: content.ObjectID{Kind: "ConfigMap", Name: "c"}}
	objects, own := hooks.Split([]content.Item{object, hook("Job", "a", 0, "test")})
	if len(objects) != 1 || objects[0].Name != "c" || len(own) != 1 || own[0].Name != "a" {
		t.Errorf("got %v and %v", objects, own)
	}
}

func TestBegins(t *testing.T) {
	some := []content.Item{hook("Job", "a", 0, "pre-install")}
	type want struct {
		Moment inventory.Moment
		Begins bool
	}
	cases := map[string]struct {
		reason string
		inv    inventory.Inventory
		hooks  []content.Item
		want   want
	}{
		"New":                {reason: "nothing was applied here yet", hooks: some, want: want{inventory.Install, true}},
		"Another":            {reason: "something was", inv: inventory.Inventory{Revision: "old"}, hooks: some, want: want{inventory.Upgrade, true}},
		"SecondTry":          {reason: "the first installation never got whole", inv: inventory.Inventory{Hooks: inventory.Hooks{Run: 1, Revision: "failed"}}, hooks: some, want: want{inventory.Install, true}},
		"Same":               {reason: "once a revision", inv: inventory.Inventory{Revision: "new", Hooks: inventory.Hooks{Run: 3, Revision: "new"}}, hooks: some},
		"NotWholeYet":        {reason: "a restart goes on with the run", inv: inventory.Inventory{Revision: "old", Hooks: inventory.Hooks{Run: 3, Revision: "new"}}, hooks: some},
		"AppliedBefore":      {reason: "an agent that knew no hooks applied it", inv: inventory.Inventory{Revision: "new"}, hooks: some},
		"WithoutHooks":       {reason: "nothing is written for bundles without hooks", inv: inventory.Inventory{Revision: "old"}},
		"HooksWentAway":      {reason: "should the revision before come back, its hooks run again", inv: inventory.Inventory{Revision: "old", Hooks: inventory.Hooks{Run: 1, Revision: "old"}}, want: want{inventory.Upgrade, true}},
		"BackFromHalf":       {reason: "the other revision's hooks changed what this one's had made", inv: inventory.Inventory{Revision: "new", Hooks: inventory.Hooks{Run: 4, Revision: "other"}}, hooks: some, want: want{inventory.Upgrade, true}},
		"BackFromTheRemoval": {reason: "the hooks of the removal may have undone something", inv: inventory.Inventory{Revision: "new", Hooks: inventory.Hooks{Run: 4, Revision: "new", Moment: inventory.Removal}}, hooks: some, want: want{inventory.Upgrade, true}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			moment, begins := hooks.Begins(tc.inv, "new", tc.hooks)
			if diff := cmp.Diff(tc.want, want{moment, begins}); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestBeginKeepsWhatEarlierRunsMade(t *testing.T) {
	run := inventory.Hooks{Run: 2, Revision: "old", Passed: []string{"x"}, Failed: "y", Reason: "z"}
	done := inventory.HookObject{ObjectID: content.ObjectID{Kind: "Job", Name: "done"}, Run: 2, State: inventory.HookSucceeded}
	runs := inventory.HookObject{ObjectID: content.ObjectID{Kind: "Job", Name: "runs"}, Run: 2, State: inventory.HookRunning}
	run.Keep(done)
	run.Keep(runs)
	next, abandoned := hooks.Begin(run, "new", inventory.Upgrade)
	runs.State = inventory.HookAbandoned
	want := inventory.Hooks{Run: 3, Revision: "new", Moment: inventory.Upgrade, Objects: map[string]inventory.HookObject{"Job done": done, "Job runs": runs}}
	if diff := cmp.Diff(want, next); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]content.ObjectID{runs.ObjectID}, abandoned); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if o, _ := run.Object(runs.ObjectID); o.State != inventory.HookRunning {
		t.Error("the run before was changed")
	}
}

func TestLeaves(t *testing.T) {
	cases := map[string]struct {
		reason   string
		state    inventory.HookState
		policies []string
		want     bool
	}{
		"Default":        {reason: "it stays for people to look at", state: inventory.HookSucceeded},
		"Succeeded":      {reason: "as it says", state: inventory.HookSucceeded, policies: []string{content.HookSucceeded}, want: true},
		"FailedStays":    {reason: "its log says why", state: inventory.HookFailed, policies: []string{content.HookSucceeded}},
		"Failed":         {reason: "as it says", state: inventory.HookFailed, policies: []string{content.HookFailed}, want: true},
		"Running":        {reason: "it is not at its end", state: inventory.HookRunning, policies: []string{content.HookFailed, content.HookSucceeded}},
		"Abandoned":      {reason: "nobody knows how it ends", state: inventory.HookAbandoned, policies: []string{content.HookFailed, content.HookSucceeded}},
		"BeforeCreation": {reason: "only the next run takes it away", state: inventory.HookSucceeded, policies: []string{content.HookBeforeCreation}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := hooks.Leaves(inventory.HookObject{State: tc.state, Policies: tc.policies}); got != tc.want {
				t.Errorf("%s: got %v", tc.reason, got)
			}
		})
	}
}

func TestOutcome(t *testing.T) {
	type want struct {
		Result hooks.Result
		Says   string
	}
	job := "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nstatus: "
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nstatus: "
	cases := map[string]struct {
		reason, live string
		want         want
	}{
		"JobRuns":      {reason: "active pods are no end", live: job + `{active: 1}`, want: want{hooks.Running, "the Job has not completed"}},
		"JobDone":      {reason: "its condition counts", live: job + `{conditions: [{type: Complete, status: "True"}]}`, want: want{hooks.Succeeded, ""}},
		"JobNotDone":   {reason: "a condition may be false", live: job + `{conditions: [{type: Complete, status: "False"}]}`, want: want{hooks.Running, "the Job has not completed"}},
		"JobFailed":    {reason: "in its own words, on one line", live: job + `{conditions: [{type: Failed, status: "True", reason: BackoffLimitExceeded, message: "Job has reached\nthe limit"}]}`, want: want{hooks.Failed, "BackoffLimitExceeded: Job has reached the limit"}},
		"JobSuspended": {reason: "a person can resume it", live: job + `{conditions: [{type: Suspended, status: "True"}]}`, want: want{hooks.Running, "the Job is suspended"}},
		"PodRuns":      {reason: "a ready pod is not done", live: pod + `{phase: Running, conditions: [{type: Ready, status: "True"}]}`, want: want{hooks.Running, "the Pod has not finished"}},
		"PodDone":      {reason: "all containers ended well", live: pod + `{phase: Succeeded}`, want: want{hooks.Succeeded, ""}},
		"PodFailed":    {reason: "the exit code is what people look for", live: pod + `{phase: Failed, containerStatuses: [{name: main, state: {terminated: {exitCode: 3, reason: Error}}}]}`, want: want{hooks.Failed, "container main of Pod p ended with exit code 3: Error"}},
		"PodEvicted":   {reason: "the pod itself says why", live: pod + `{phase: Failed, reason: Evicted, message: low on memory}`, want: want{hooks.Failed, "Evicted: low on memory"}},
		"PodPulls":     {reason: "what it waits for", live: pod + `{phase: Pending, initContainerStatuses: [{name: init, state: {waiting: {reason: ImagePullBackOff, message: no such image}}}]}`, want: want{hooks.Running, "container init of Pod p waits: ImagePullBackOff: no such image"}},
		"PodPending":   {reason: "no node fits", live: pod + `{phase: Pending, conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: 0/3 nodes}]}`, want: want{hooks.Running, "Pod p is not scheduled: Unschedulable: 0/3 nodes"}},
		"Others":       {reason: "anything else is done once it is there", live: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}", want: want{hooks.Succeeded, ""}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			data, err := yaml.YAMLToJSON([]byte(tc.live))
			if err != nil {
				t.Fatal(err)
			}
			live := &unstructured.Unstructured{}
			if err := live.UnmarshalJSON(data); err != nil {
				t.Fatal(err)
			}
			result, says := hooks.Outcome(live)
			if diff := cmp.Diff(tc.want, want{result, says}); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

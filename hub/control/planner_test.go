package control

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// small is a fleet of three clusters and four bundles, planned.
func small(t testing.TB) *testFleet {
	f := newTestFleet(t)
	files := map[string]string{"clusters/g.yaml": "kind: ClusterGroup\nmetadata: {name: prod}\nspec: {clusterSelector: {matchLabels: {env: prod}}}\n",
		"policies/p.rego": "# METADATA\n# custom:\n#   input: periplus\n#   kinds: [ConfigMap]\npackage p\n\ndeny contains \"no\" if input.cluster.labels.locked == \"yes\"\n"}
	maps.Copy(files, bundleFiles("all", "{targets: [{clusterSelector: {}}]}"))
	maps.Copy(files, bundleFiles("prod", "{targets: [{clusterGroup: prod}]}"))
	maps.Copy(files, bundleFiles("zone", "{set: [{target: {}, pointer: /data/x, value: '${{ cluster.labels.?zone.orValue(\"\") }}'}], targets: [{clusterSelector: {matchLabels: {env: prod}}}]}"))
	maps.Copy(files, bundleFiles("dev", "{targets: [{clusterSelector: {matchLabels: {env: dev}}}]}"))
	f.commit(files)
	f.cluster("c1", "env=prod", "zone=a")
	f.cluster("c2", "env=prod", "zone=b")
	f.cluster("c3", "env=dev")
	f.plan()
	return f
}

func TestPlanTouchesOnlyWhatChanged(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(f *testFleet)
		want   Work
	}{
		"Nothing":     {"nothing new is no pair", func(*testFleet) {}, Work{Plans: 1}},
		"Unmentioned": {"a label that nobody speaks of is no pair", func(f *testFleet) { f.cluster("c1", "env=prod", "zone=a", "owner=x") }, Work{Plans: 1}},
		"Read":        {"a label that one bundle reads is one pair", func(f *testFleet) { f.cluster("c1", "env=prod", "zone=c") }, Work{Plans: 1, Pairs: 1, Matched: 1, Computed: 1, Rows: 1, Changes: 1}},
		"Flip":        {"a cluster that changes sides concerns those of both", func(f *testFleet) { f.cluster("c1", "env=dev", "zone=a") }, Work{Plans: 1, Pairs: 3, Matched: 3, Computed: 1, Rows: 2, Changes: 3}},
		"NewCluster":  {"a new cluster concerns itself alone", func(f *testFleet) { f.cluster("c4", "env=dev") }, Work{Plans: 1, Pairs: 2, Matched: 2, Computed: 2, Changes: 2}},
		"Policy":      {"a label that a policy reads concerns all that runs there", func(f *testFleet) { f.cluster("c1", "env=prod", "zone=a", "locked=no") }, Work{Plans: 1, Pairs: 3, Matched: 3, Judged: 3, Rows: 3}},
		"PolicyText": {"a policy's change is judged anew, and neither targeted nor rendered", func(f *testFleet) {
			f.commit(map[string]string{"policies/p.rego": strings.Replace(f.files["policies/p.rego"], `"no"`, `"not so"`, 1)})
		}, Work{Plans: 1, Pairs: 8, Judged: 8, Rows: 8}},
		"OtherKinds": {"a policy about what nobody has concerns nobody", func(f *testFleet) {
			f.commit(map[string]string{"policies/q.rego": strings.NewReplacer("package p", "package q", "ConfigMap", "Deployment.apps").Replace(f.files["policies/p.rego"])})
		}, Work{Plans: 1}},
		"Bundle": {"a bundle's change concerns its clusters", func(f *testFleet) {
			f.commit(map[string]string{"bundles/dev/object.yaml": strings.Replace(object, "x: a", "x: b", 1)})
		}, Work{Plans: 1, Pairs: 1, Matched: 1, Computed: 1, Rows: 1, Changes: 1}},
		"OtherFile":  {"a commit that changes no bundle concerns nobody", func(f *testFleet) { f.commit(map[string]string{"docs.md": "x"}) }, Work{Plans: 1}},
		"BundleGone": {"as does its end", func(f *testFleet) { f.commit(map[string]string{"bundles/dev/bundle.yaml": ""}) }, Work{Plans: 1, Pairs: 1, Rows: 1, Changes: 1}},
		"Group": {"a group's change concerns the bundles that name it", func(f *testFleet) {
			f.commit(map[string]string{"clusters/g.yaml": "kind: ClusterGroup\nmetadata: {name: prod}\nspec: {clusterSelector: {matchLabels: {zone: a}}}\n"})
		}, Work{Plans: 1, Pairs: 2, Matched: 2, Rows: 2, Changes: 1}},
		"Restart": {"a new process looks at everything and changes nothing", func(f *testFleet) { f.restart() }, Work{Plans: 1, Full: 1, Pairs: 8, Matched: 8, Computed: 8, Rows: 8}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := small(t)
			if name == "Restart" {
				tc.change(f)
				tc.change = func(*testFleet) {}
			}
			got := f.worked(func() { tc.change(f); f.plan() })
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got\n%s%v", tc.reason, diff, f.state())
			}
		})
	}
}

// TestPartsMakeTheWhole compares plans of parts with a full plan by a process that knows nothing: it must change nothing.
func TestPartsMakeTheWhole(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	pick := func(options ...string) string { return options[random.IntN(len(options))] }
	f := small(t)
	bundle := func(i int) map[string]string {
		return bundleFiles(fmt.Sprint("b", i), fmt.Sprintf("{namespace: 'x%s', targets: [{name: a, clusterSelector: {matchLabels: {a: '%s'}}}, {clusterGroup: prod, clusterNames: ['c%d*']}], exclude: [{clusterSelector: {matchLabels: {b: '%s'}}}], %s}",
			pick("", "${{ cluster.labels.?z.orValue(\"y\") }}"), pick("0", "1"), random.IntN(4), pick("0", "1"), pick("labels: {a: b}", "tolerations: [{operator: Exists}]")))
	}
	for range 150 {
		switch random.IntN(8) {
		case 0, 1, 2, 3:
			c := f.clusters["uid-c1"]
			c.Name = fmt.Sprint("c", random.IntN(6))
			c.UID, c.Labels, c.Taints = "uid-"+c.Name, map[string]string{}, nil
			for _, key := range []string{"env", "a", "b", "z", "zone", "locked"} {
				if value := pick("", "0", "1", "prod", "yes"); value != "" {
					c.Labels[key] = value
				}
			}
			if random.IntN(5) == 0 {
				c.Taints = []v1alpha1.ClusterTaint{{Key: "t", Effect: v1alpha1.TaintEffect(pick("NoSelect", "NoSelectIfNew"))}}
			}
			f.put(c)
		case 4:
			f.commit(map[string]string{"bundles/" + fmt.Sprint("b", random.IntN(6)) + "/bundle.yaml": ""})
		case 5:
			f.commit(map[string]string{"clusters/g.yaml": "kind: ClusterGroup\nmetadata: {name: prod}\nspec: {clusterSelector: {matchLabels: {env: '" + pick("prod", "0", "1") + "'}}}\n"})
		case 6:
			f.commit(map[string]string{"policies/p.rego": strings.Replace(f.files["policies/p.rego"], pick(`"yes"`, `"1"`), pick(`"0"`, `"1"`), 1)})
		default:
			f.commit(bundle(random.IntN(6)))
		}
		// What a cause takes is counted for a while: here everything happens long after.
		f.now = f.now.Add(2 * removalWindow)
		f.plan()
		parts, known := f.assignments(), f.planner
		f.restart()
		if changes := f.plan(); changes > 0 {
			t.Fatalf("a full plan changes %d deliveries: -parts +whole\n%s", changes, cmp.Diff(parts, f.assignments()))
		}
		f.planner = known
	}
}

func TestRemovalsInParts(t *testing.T) {
	f := newTestFleet(t)
	f.commit(bundleFiles("web", "{targets: [{clusterSelector: {matchLabels: {web: 'yes'}}}]}"))
	for i := range 10 {
		f.cluster(fmt.Sprint("c", i), "web=yes")
	}
	f.plan()
	leaving := func(from, to int) {
		for i := from; i < to; i++ {
			f.cluster(fmt.Sprint("c", i), "web=no")
		}
		f.plan()
	}
	count := func(word string) (n int) {
		for _, line := range f.state() {
			if strings.HasSuffix(line, word) {
				n++
			}
		}
		return n
	}
	leaving(0, 3)
	leaving(3, 5)
	if count("leaves") != 3 || count("RemovalHeld") != 2 {
		t.Errorf("what one commit takes counts together, in however many parts it comes: %v", f.state())
	}
	f.now = f.now.Add(2 * removalWindow)
	f.cluster("c9", "web=yes", "other=x")
	f.plan()
	if count("leaves") != 3 || count("RemovalHeld") != 2 {
		t.Errorf("a change that does not concern them leaves held removals alone: %v", f.state())
	}
	leaving(5, 7)
	if count("leaves") != 3 || count("RemovalHeld") != 4 {
		t.Errorf("those that are held count with those that come: %v", f.state())
	}
	f.news.Confirmed = map[string]bool{"target:" + f.snapshot.Commit: true}
	f.plan()
	if count("leaves") != 7 || count("RemovalHeld") != 0 {
		t.Errorf("a person's word releases all: %v", f.state())
	}
}

func TestWaitsForOtherClusters(t *testing.T) {
	f := newTestFleet(t)
	files := bundleFiles("db", "{targets: [{clusterSelector: {}}]}")
	maps.Copy(files, bundleFiles("app", "{targets: [{clusterSelector: {matchLabels: {app: 'yes'}}}], dependsOn: [{bundle: db, clusterSelector: {matchLabels: {db: 'yes'}}}]}"))
	f.commit(files)
	f.cluster("db1", "db=yes")
	f.cluster("db2", "db=yes")
	f.cluster("app1", "app=yes")
	f.plan()
	steps := []struct {
		reason string
		do     func()
		want   string
		pairs  int
	}{
		{"a new bundle waits for the one that comes with it", func() {}, "app1 app WaitingForDependency unassigned", 0},
		{"until all clusters that are named are ready", func() { f.ready("db1", "db") }, "app1 app WaitingForDependency unassigned", 1},
		{"then it goes", func() { f.ready("db2", "db") }, "app1 app", 1},
		{"what runs stays, whatever becomes of the dependency", func() {
			f.commit(map[string]string{"bundles/db/object.yaml": strings.Replace(object, "x: a", "x: b", 1)})
		}, "app1 app", 3},
		{"what is new waits for what is new", func() {
			f.commit(map[string]string{"bundles/db/object.yaml": strings.Replace(object, "x: a", "x: c", 1), "bundles/app/object.yaml": strings.Replace(object, "x: a", "x: c", 1)})
		}, "app1 app WaitingForDependency", 4},
		{"and goes when that is ready", func() { f.ready("db1", "db"); f.ready("db2", "db") }, "app1 app", 1},
	}
	for _, step := range steps {
		work := f.worked(func() { step.do(); f.plan() })
		if !strings.Contains(strings.Join(f.state(), "\n")+"\n", step.want+"\n") && !strings.HasPrefix(strings.Join(f.state(), "\n"), step.want+"\n") {
			t.Fatalf("%s: %v", step.reason, f.state())
		}
		if work.Pairs != step.pairs {
			t.Errorf("%s: %d pairs were looked at, not %d", step.reason, work.Pairs, step.pairs)
		}
	}
}

func TestTaintedClustersKeepWhatTheyHave(t *testing.T) {
	f := small(t)
	tainted := f.clusters["uid-c3"]
	tainted.Taints = []v1alpha1.ClusterTaint{{Key: "full", Effect: v1alpha1.NoSelectIfNew}}
	f.put(tainted)
	f.commit(bundleFiles("late", "{targets: [{clusterSelector: {}}]}"))
	f.plan()
	state := strings.Join(f.state(), "\n")
	if !strings.Contains(state, "c3 all\n") || !strings.Contains(state, "c3 dev") || strings.Contains(state, "c3 late") || !strings.Contains(state, "c1 late") {
		t.Errorf("a full cluster keeps what it has and gets nothing new:\n%s", state)
	}
	f.restart()
	if f.plan() != 0 {
		t.Errorf("also over a restart: %v", f.state())
	}
	tainted.Taints = []v1alpha1.ClusterTaint{{Key: "full", Effect: v1alpha1.NoSelect}}
	f.put(tainted)
	f.plan()
	if state := strings.Join(f.state(), "\n"); !strings.Contains(state, "c3 all leaves\n") || !strings.Contains(state, "c3 dev leaves") {
		t.Errorf("NoSelect takes off what is there:\n%s", state)
	}
}

func TestSuspensionEnds(t *testing.T) {
	f := newTestFleet(t)
	until := f.now.Add(time.Hour)
	f.commit(bundleFiles("web", fmt.Sprintf("{suspend: {reason: x, until: '%s'}, targets: [{clusterSelector: {}}]}", until.Format(time.RFC3339))))
	f.cluster("c1")
	f.plan()
	if diff := cmp.Diff([]string{"c1 web Suspended unassigned"}, f.state()); diff != "" {
		t.Fatal(diff)
	}
	f.now = until.Add(time.Second)
	f.plan()
	if diff := cmp.Diff([]string{"c1 web"}, f.state()); diff != "" {
		t.Errorf("it ends by the clock: %s", diff)
	}
}

package index_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/hub/target/expr"
	"github.com/periplus-fleet/periplus/hub/target/index"
)

// world is an index with what it was told.
type world struct {
	t        *testing.T
	index    *index.Index
	resolver *target.Resolver
	expr     *expr.Evaluator
	bundles  map[delivery.Key]fleet.BundleDecl
	groups   map[string]*target.Group
}

func newWorld(t *testing.T, groups map[string]string) *world {
	t.Helper()
	evaluator, err := expr.New()
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := target.NewResolver()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, resolver: resolver, expr: evaluator, bundles: map[delivery.Key]fleet.BundleDecl{}, groups: compiled(t, groups)}
	w.index = index.New(w.groups)
	return w
}

func compiled(t *testing.T, groups map[string]string) map[string]*target.Group {
	t.Helper()
	out := map[string]*target.Group{}
	for name, text := range groups {
		selector, err := labels.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		decl := fleet.GroupDecl{Selector: selector}
		decl.Group.Name = name
		out[name] = target.NewGroup(decl)
	}
	return out
}

func (w *world) bundle(name, spec string) {
	w.t.Helper()
	text := "apiVersion: fleet.periplus.dev/v1alpha1\nkind: Bundle\nmetadata: {name: " + name + "}\nspec: " + spec + "\n"
	decl, refused := fleet.ParseBundle("bundles/"+name+"/bundle.yaml", []byte(text), "fleet", w.expr)
	if len(refused) > 0 {
		w.t.Fatalf("%s: %v", spec, refused)
	}
	w.bundles[decl.Key] = decl
	w.index.PutBundle(decl, w.resolver.Reads(decl.Spec))
}

func names(keys []delivery.Key) string {
	var out []string
	for _, key := range keys {
		out = append(out, strings.TrimPrefix(string(key), "fleet/"))
	}
	return strings.Join(out, " ")
}

func TestPutCluster(t *testing.T) {
	before := target.Cluster{UID: "1", Name: "eu-1", Labels: map[string]string{"env": "prod", "zone": "a"}, Properties: map[string]string{"class": "big"},
		Variables: map[string]any{"x": 1.0}}
	with := func(change func(*target.Cluster)) target.Cluster {
		c := before
		c.Labels, c.Properties, c.Variables = maps.Clone(c.Labels), maps.Clone(c.Properties), maps.Clone(c.Variables)
		change(&c)
		return c
	}
	cases := map[string]struct {
		reason string
		after  target.Cluster
		want   string
	}{
		"Nothing":  {reason: "What is equal concerns nobody.", after: with(func(*target.Cluster) {})},
		"Leaves":   {reason: "A value that is left or reached concerns those that name it, or the key.", after: with(func(c *target.Cluster) { c.Labels["env"] = "dev" }), want: "dev expression group prod template"},
		"Between":  {reason: "Others stay untouched.", after: with(func(c *target.Cluster) { c.Labels["zone"] = "b" }), want: ""},
		"Comes":    {reason: "A key that comes concerns those that ask whether it is there.", after: with(func(c *target.Cluster) { c.Labels["gpu"] = "x" }), want: "gpu notgpu"},
		"Property": {reason: "Properties are told apart from labels.", after: with(func(c *target.Cluster) { c.Properties["class"] = "small" }), want: "class"},
		"Variable": {reason: "A variable concerns those that read it.", after: with(func(c *target.Cluster) { c.Variables["x"] = 2.0 }), want: "variable"},
		"Other":    {reason: "And nobody else.", after: with(func(c *target.Cluster) { c.Variables["y"] = 2.0 }), want: ""},
		"Taint":    {reason: "A taint concerns those that would come here.", after: with(func(c *target.Cluster) { c.Taints = []v1alpha1.ClusterTaint{{Key: "a"}} }), want: "class everything expression gpu group named notgpu prod template variable"},
		"Recreate": {reason: "A new one concerns those that may choose it.", after: with(func(c *target.Cluster) { c.UID = "2" }), want: "class everything expression gpu group named notgpu prod template variable"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, map[string]string{"prod": "env=prod"})
			w.bundle("everything", "{targets: [{clusterSelector: {}}]}")
			w.bundle("prod", "{targets: [{clusterSelector: {matchLabels: {env: prod, zone: a}}}]}")
			w.bundle("dev", "{targets: [{clusterSelector: {matchLabels: {env: dev}}}]}")
			w.bundle("group", "{targets: [{clusterGroup: prod}]}")
			w.bundle("named", "{targets: [{clusterNames: [eu-1]}]}")
			w.bundle("gpu", "{targets: [{clusterSelector: {matchExpressions: [{key: gpu, operator: Exists}]}}]}")
			w.bundle("notgpu", "{exclude: [{clusterSelector: {matchExpressions: [{key: gpu, operator: Exists}]}}], targets: [{clusterSelector: {}}]}")
			w.bundle("class", "{targets: [{propertySelector: {matchLabels: {class: big}}}]}")
			w.bundle("expression", "{targets: [{expression: 'cluster.labels.env == \"prod\"'}]}")
			w.bundle("template", "{namespace: 'a-${{ cluster.labels.env }}', targets: [{clusterSelector: {}}]}")
			w.bundle("variable", "{labels: {x: 'v${{ cluster.variables.x }}'}, targets: [{clusterSelector: {}}]}")
			w.index.PutCluster(before)
			if name == "Between" {
				w.index.RemoveBundle("fleet/prod")
			}
			if diff := cmp.Diff(tc.want, names(w.index.PutCluster(tc.after))); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
}

func TestSetGroups(t *testing.T) {
	w := newWorld(t, map[string]string{"a": "env=prod", "b": "env=dev"})
	w.bundle("a", "{targets: [{clusterGroup: a}]}")
	w.bundle("b", "{exclude: [{clusterGroup: b}], targets: [{clusterNames: [x]}]}")
	w.bundle("c", "{targets: [{clusterGroup: c}]}")
	got := w.index.SetGroups(compiled(t, map[string]string{"a": "env=prod", "b": "env=qa", "c": "env=prod"}))
	slices.Sort(got)
	if diff := cmp.Diff("b c", names(got)); diff != "" {
		t.Error(diff)
	}
	w.index.PutCluster(target.Cluster{UID: "1", Name: "1", Labels: map[string]string{"env": "prod"}})
	if diff := cmp.Diff([]string{"1"}, w.index.Clusters("fleet/c")); diff != "" {
		t.Errorf("the group's clusters are found: %s", diff)
	}
}

// TestIndexMissesNothing compares the index with asking everybody, over random bundles and random changes of clusters.
func TestIndexMissesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(options ...string) string { return options[random.IntN(len(options))] }
	selector := func() string {
		switch random.IntN(6) {
		case 0:
			return "{}"
		case 1:
			return fmt.Sprintf("{matchLabels: {%s: '%s', %s: '%s'}}", pick("a", "b"), pick("0", "1", "2"), pick("c", "d"), pick("0", "1"))
		case 2:
			return fmt.Sprintf("{matchExpressions: [{key: %s, operator: %s}]}", pick("a", "b", "c"), pick("Exists", "DoesNotExist"))
		default:
			return fmt.Sprintf("{matchExpressions: [{key: %s, operator: %s, values: ['0', '%s']}]}", pick("a", "b", "c"), pick("In", "NotIn"), pick("1", "2"))
		}
	}
	matcher := func() string {
		switch random.IntN(6) {
		case 0:
			return "{clusterGroup: " + pick("g", "h") + "}"
		case 1:
			return fmt.Sprintf("{clusterNames: ['c%d', '%s']}", random.IntN(20), pick("c1*", "c3"))
		case 2:
			return "{propertySelector: " + selector() + "}"
		case 3:
			return fmt.Sprintf(`{expression: '"%s" in cluster.labels && cluster.labels.%s == "1" || cluster.properties.?%s.orValue("") == "0"'}`, "a", "a", pick("a", "b"))
		default:
			return "{clusterSelector: " + selector() + "}"
		}
	}
	values := func() map[string]string {
		out := map[string]string{}
		for _, key := range []string{"a", "b", "c", "d"} {
			if random.IntN(3) > 0 {
				out[key] = pick("0", "1", "2", "3")
			}
		}
		return out
	}
	state := func(i int) target.Cluster {
		c := target.Cluster{UID: fmt.Sprint("u", i), Namespace: "fleet", Name: fmt.Sprint("c", i), Labels: values(), Properties: values()}
		if random.IntN(6) == 0 {
			c.Taints = []v1alpha1.ClusterTaint{{Key: "t", Effect: v1alpha1.NoSelect}}
		}
		return c
	}
	w := newWorld(t, map[string]string{"g": "a=1", "h": "b in (0,1),c"})
	for i := range 120 {
		spec := fmt.Sprintf("{targets: [%s, %s], exclude: [%s], namespace: '%s', overlays: [{clusterNames: [c1], set: [{target: {}, pointer: /a, value: '%s'}]}]",
			matcher(), matcher(), matcher(), pick("x", "${{ cluster.name }}", "n${{ cluster.labels.?d.orValue(\"\") }}"), pick("y", "${{ cluster.labels }}"))
		if random.IntN(2) == 0 {
			spec += ", tolerations: [{operator: Exists}]"
		}
		w.bundle(fmt.Sprint("b", i), spec+"}")
	}
	// outcome is all that the planner makes of a pair.
	outcome := func(bundle fleet.BundleDecl, c target.Cluster) string {
		match, ok, err := target.MatchBundle(bundle, w.groups, c)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return "none"
		}
		in, err := w.resolver.Inputs(bundle, match, c)
		return fmt.Sprint(match.Index, match.Overlays, in.Namespace, in.Set, err)
	}
	clusters := map[string]target.Cluster{}
	asked := 0
	for range 400 {
		c := state(random.IntN(20))
		before, had := clusters[c.UID]
		clusters[c.UID] = c
		affected := map[delivery.Key]bool{}
		for _, key := range w.index.PutCluster(c) {
			affected[key] = true
		}
		asked += len(affected)
		for key, bundle := range w.bundles {
			was := "none"
			if had {
				was = outcome(bundle, before)
			}
			if now := outcome(bundle, c); now != was && !affected[key] {
				t.Fatalf("bundle %s was not asked about\n%+v: %s\n%+v: %s", key, before, was, c, now)
			}
		}
	}
	for key, bundle := range w.bundles {
		candidates := w.index.Clusters(key)
		for uid, c := range clusters {
			if outcome(bundle, c) != "none" && !slices.Contains(candidates, uid) {
				t.Fatalf("cluster %s is no candidate of %s", uid, key)
			}
			if outcome(bundle, c) != "none" && !slices.Contains(w.index.Bundles(uid), key) {
				t.Fatalf("bundle %s is no candidate of %s", key, uid)
			}
		}
	}
	if asked >= 400*120 {
		t.Errorf("the index narrows nothing: %d pairs", asked)
	}
}

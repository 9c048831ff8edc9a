package control

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/target"
)

// The fleet of the budget hub/relabel.
const (
	relabelBundles  = 3000
	relabelClusters = 5000
	// relabelTiers divide bundles and clusters: a cluster has the bundles of its tier.
	relabelTiers = 300
)

const relabelPolicy = "# METADATA\n# custom:\n#   input: periplus\n#   kinds: [ConfigMap]\npackage p\n\ndeny contains \"no\" if input.object.data.y == \"no\"\n"

// relabelFleet is planned and written: 5,000 clusters with 10 bundles each, one of which reads another label.
func relabelFleet(b *testing.B) (f *testFleet, full time.Duration) {
	f = newTestFleet(b)
	files := map[string]string{}
	for i := range relabelBundles {
		name := fmt.Sprintf("b%04d", i)
		set := ""
		if i < relabelTiers {
			set = "set: [{target: {}, pointer: /data/x, value: '${{ cluster.labels.region }}'}], "
		}
		files["bundles/"+name+"/bundle.yaml"] = fmt.Sprintf("kind: Bundle\nmetadata: {name: %s}\nspec: {%stargets: [{clusterSelector: {matchLabels: {tier: t%d}}}]}\n", name, set, i%relabelTiers)
		files["bundles/"+name+"/object.yaml"] = object
	}
	f.commit(files)
	files["policies/p.rego"] = relabelPolicy
	var rows []delivery.Cluster
	for i := range relabelClusters {
		c := target.Cluster{UID: fmt.Sprintf("uid-%d", i), Namespace: "fleet", Name: fmt.Sprintf("c%d", i),
			Labels: map[string]string{"tier": fmt.Sprintf("t%d", i%relabelTiers), "region": fmt.Sprintf("r%d", i%7), "owner": "nobody"}}
		f.clusters[c.UID] = c
		rows = append(rows, delivery.Cluster{UID: c.UID, Namespace: c.Namespace, Name: c.Name, Labels: c.Labels})
	}
	if err := f.store.UpsertClusters(b.Context(), f.term, rows); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	changes := f.plan()
	full = time.Since(start)
	if changes != relabelClusters*relabelBundles/relabelTiers {
		b.Fatalf("the fleet has %d deliveries", changes)
	}
	return f, full
}

// BenchmarkRelabel flips the label of one cluster among 5,000 by which 3,000 bundles choose, until the new assignments are
// written: 10 bundles leave, 10 others come. It is what a watch's event costs, from the row of the cluster on.
func BenchmarkRelabel(b *testing.B) {
	f, full := relabelFleet(b)
	flip := func(i int, key, value string) {
		c := f.clusters[fmt.Sprintf("uid-%d", i)]
		c.Labels = map[string]string{"tier": c.Labels["tier"], "region": c.Labels["region"], "owner": c.Labels["owner"]}
		c.Labels[key] = value
		// One after the other, as people do: else the removals of all count together and wait for a person.
		f.now = f.now.Add(2 * removalWindow)
		f.put(c)
		f.plan()
	}
	i := 0
	var work Work
	for b.Loop() {
		i++
		tier := fmt.Sprintf("t%d", (i+1)%relabelTiers)
		before := f.worked(func() { flip(i%relabelClusters, "tier", tier) })
		work = before
	}
	b.StopTimer()
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/relabel")
	b.ReportMetric(float64(work.Pairs), "pairs")
	b.ReportMetric(float64(work.Matched), "selectors")
	b.ReportMetric(float64(work.Computed), "computed")
	b.ReportMetric(float64(work.Rows), "rows-read")
	b.ReportMetric(float64(work.Changes), "changes")
	measure := func(name string, do func()) {
		start := time.Now()
		work := f.worked(do)
		b.ReportMetric(time.Since(start).Seconds(), name+"-s")
		b.ReportMetric(float64(work.Pairs), name+"-pairs")
		b.ReportMetric(float64(work.Rows), name+"-rows")
		b.ReportMetric(float64(work.Matched), name+"-selectors")
	}
	measure("unmentioned", func() { flip(4000, "owner", "somebody") })
	measure("read", func() { flip(4001, "region", "elsewhere") })
	measure("new-cluster", func() { f.cluster("new", "tier=t1", "region=r1"); f.plan() })
	f.commit(map[string]string{"bundles/b0001/object.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other, namespace: default}\ndata: {x: b}\n"})
	measure("bundle", func() { f.plan() })
	f.commit(map[string]string{"policies/q.rego": strings.NewReplacer("package p", "package q", "ConfigMap", "Deployment.apps").Replace(relabelPolicy)})
	measure("policy-of-other-kinds", func() { f.plan() })
	f.commit(map[string]string{"policies/p.rego": strings.Replace(relabelPolicy, `"no"`, `"never"`, 1)})
	measure("policy", func() { f.plan() })
	b.ReportMetric(full.Seconds(), "full-plan-s")
	rows, err := f.store.Deliveries(b.Context(), store.DeliveryFilter{ClusterUID: "uid-1"})
	if err != nil || len(rows) != 2*relabelBundles/relabelTiers {
		b.Fatalf("cluster 1 leaves as many bundles as it gets: %d %v", len(rows), err)
	}
}

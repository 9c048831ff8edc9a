package control

import (
	"crypto/ed25519"
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/policies/parcel"
)

// evaluates lets a cluster's agent report at which points it evaluates policies.
func (f *testFleet) evaluates(cluster string, points ...string) {
	f.Helper()
	uid := "uid-" + cluster
	var err error
	if f.sessions[uid] == 0 {
		if f.sessions[uid], err = f.store.ClaimSession(f.Context(), uid, "test", "agent"); err != nil {
			f.Fatal(err)
		}
	}
	f.reports++
	applied, err := f.store.Report(f.Context(), uid, f.sessions[uid], f.reports, &linkv1.StatusReport{Facts: &linkv1.Facts{PolicyPoints: points}})
	if err != nil || !applied {
		f.Fatal(applied, err)
	}
}

// policies that clusters have, by cluster: revision and "leaves".
func (f *testFleet) policies() map[string]delivery.Delivery {
	f.Helper()
	rows, err := f.store.Deliveries(f.Context(), store.DeliveryFilter{Bundle: delivery.Key(content.PoliciesEntry("fleet"))})
	if err != nil {
		f.Fatal(err)
	}
	out := map[string]delivery.Delivery{}
	for _, d := range rows {
		out[d.Cluster] = d
	}
	return out
}

// Clusters whose agents evaluate policies get them, once; equal ones share a revision; nothing is written for nothing.
func TestPoliciesAreSpread(t *testing.T) {
	f := small(t)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f.planner.policyKey = private
	if got := f.policies(); len(got) != 0 {
		t.Fatalf("no agent evaluates any: %v", got)
	}
	f.evaluates("c1", "admission", "audit")
	f.evaluates("c2", "audit")
	f.plan()
	got := f.policies()
	if len(got) != 2 || got["c1"].Assigned.Revision == "" || got["c1"].Assigned.Revision != got["c2"].Assigned.Revision {
		t.Fatalf("two clusters share the policies: %+v", got)
	}
	if required := got["c1"].Assigned.RequiredCapabilities; len(required) != 1 || required[0] != content.CapabilityPolicies {
		t.Errorf("an agent that knows no policies is not given any: %v", required)
	}
	cluster, err := parcel.Open(got["c1"].Assigned.Revision, got["c1"].Assigned.Options.GetPolicies(), public)
	if err != nil || cluster.Name != "c1" || cluster.Labels["env"] != "prod" {
		t.Errorf("they come with what policies see of the cluster, signed: %+v, %v", cluster, err)
	}
	if work := f.worked(func() { f.plan() }); work.Changes != 0 {
		t.Errorf("the same again writes %d rows", work.Changes)
	}
	f.restart()
	f.planner.policyKey = private
	if work := f.worked(func() { f.plan() }); work.Changes != 0 {
		t.Errorf("nor does a restart: %d rows", work.Changes)
	}
	before := got["c1"].Assigned.Revision
	f.commit(map[string]string{"policies/p.rego": strings.Replace(f.files["policies/p.rego"], `"no"`, `"never"`, 1)})
	f.plan()
	if after := f.policies(); after["c1"].Assigned.Revision == before || after["c2"].Assigned.Revision != after["c1"].Assigned.Revision {
		t.Errorf("a changed policy is another revision, for both: %+v", after)
	}
	f.evaluates("c2")
	f.plan()
	if after := f.policies(); after["c2"].Tombstone == nil || after["c1"].Tombstone != nil {
		t.Errorf("an agent that evaluates none any more lets them go: %+v", after)
	}
	f.commit(map[string]string{"policies/p.rego": ""})
	f.plan()
	if after := f.policies(); after["c1"].Tombstone == nil {
		t.Errorf("so do all when there are none: %+v", after)
	}
}

// What policies say is kept as they say it now, also where nothing moves for it.
func TestWarningsFollowPolicies(t *testing.T) {
	f := small(t)
	results := func() (said []string) {
		page, err := f.store.ListPolicyResults(f.Context(), store.Query{Namespaces: []string{"fleet"}, Limit: 100, Filter: map[string]string{"cluster": "c3"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range page.Items {
			said = append(said, string(row.Bundle)+" "+row.Result+" "+row.Message)
		}
		slices.Sort(said)
		return said
	}
	warn := "# METADATA\n# custom:\n#   input: periplus\n#   kinds: [ConfigMap]\n#   action: warn\npackage w\n\ndeny contains \"mind it\"\n"
	f.commit(map[string]string{"policies/w.rego": warn})
	f.plan()
	if got := results(); !slices.Equal(got, []string{"fleet/all warn mind it", "fleet/dev warn mind it"}) {
		t.Errorf("a policy that came warns: %q", got)
	}
	f.commit(map[string]string{"policies/w.rego": strings.Replace(warn, "mind it", "look out", 1)})
	f.plan()
	if got := results(); !slices.Equal(got, []string{"fleet/all warn look out", "fleet/dev warn look out"}) {
		t.Errorf("one that changed says the new words: %q", got)
	}
	if work := f.worked(func() { f.plan() }); work.Changes != 0 {
		t.Errorf("the same again writes %d rows", work.Changes)
	}
	f.commit(map[string]string{"policies/w.rego": ""})
	f.plan()
	if got := results(); len(got) != 0 {
		t.Errorf("one that went says nothing: %q", got)
	}
}

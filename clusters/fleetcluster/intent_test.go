package fleetcluster

import (
	"encoding/json"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

func TestDeletionDefaults(t *testing.T) {
	yes, no := true, false
	cases := map[string]struct {
		reason    string
		cluster   *v1alpha1.FleetCluster
		policy    v1alpha1.DeletionPolicy
		protected bool
	}{
		"Provisioned": {reason: "machines go with the FleetCluster, but not by one slip", cluster: fleetCluster(withTopology), policy: v1alpha1.DeletionDelete, protected: true},
		"Adopted":     {reason: "someone else's Cluster stays", cluster: fleetCluster(withRef), policy: v1alpha1.DeletionOrphan},
		"Joined":      {reason: "the cluster stays as it is", cluster: fleetCluster(), policy: v1alpha1.DeletionOrphan},
		"Declared": {reason: "the declaration wins", policy: v1alpha1.DeletionOrphan, cluster: fleetCluster(withTopology, func(c *v1alpha1.FleetCluster) {
			c.Spec.Deletion = v1alpha1.Deletion{Policy: v1alpha1.DeletionOrphan, Protected: &no}
		})},
		"JoinedProtected": {reason: "a joined cluster can be protected too", policy: v1alpha1.DeletionOrphan, protected: true, cluster: fleetCluster(func(c *v1alpha1.FleetCluster) {
			c.Spec.Deletion.Protected = &yes
		})},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Policy(tc.cluster); got != tc.policy {
				t.Errorf("%s: policy is %s, want %s", tc.reason, got, tc.policy)
			}
			if got := Protected(tc.cluster); got != tc.protected {
				t.Errorf("%s: protected is %t, want %t", tc.reason, got, tc.protected)
			}
		})
	}
}

func TestCovers(t *testing.T) {
	cases := map[string]struct {
		reason     string
		have, want string
		covers     bool
	}{
		"Same":         {reason: "nothing to write", have: `{"a":1}`, want: `{"a":1}`, covers: true},
		"Defaulted":    {reason: "what others added is theirs", have: `{"a":1,"b":{"c":2}}`, want: `{"a":1}`, covers: true},
		"Changed":      {reason: "a hand edit of a declared field is taken back", have: `{"a":2}`, want: `{"a":1}`},
		"Missing":      {reason: "a declared field is not there", have: `{}`, want: `{"a":1}`},
		"DeepDefault":  {reason: "defaults inside of list items are no change", have: `{"l":[{"n":"x","d":0}]}`, want: `{"l":[{"n":"x"}]}`, covers: true},
		"ListGrew":     {reason: "a worker pool that nobody declared", have: `{"l":[{"n":"x"},{"n":"y"}]}`, want: `{"l":[{"n":"x"}]}`},
		"TypeDiffers":  {reason: "never equal", have: `{"a":"1"}`, want: `{"a":{"b":1}}`},
		"ListOfObject": {reason: "never equal", have: `{"a":{}}`, want: `{"a":[]}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var have, want any
			if err := json.Unmarshal([]byte(tc.have), &have); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(tc.want), &want); err != nil {
				t.Fatal(err)
			}
			if got := covers(have, want); got != tc.covers {
				t.Errorf("%s: got %t, want %t", tc.reason, got, tc.covers)
			}
		})
	}
}

func TestOwnership(t *testing.T) {
	owned := func(uid string) *clusterv1.Cluster {
		live := capi()
		if uid != "" {
			live.ObjectMeta = metav1.ObjectMeta{Name: "eu-1", Namespace: "fleet", Annotations: map[string]string{AnnotationOwner: uid}}
		}
		return live
	}
	cases := map[string]struct {
		reason string
		live   *clusterv1.Cluster
		want   string
	}{
		"None":    {reason: "free to make"},
		"Ours":    {reason: "free to write", live: owned("uid-1")},
		"Foreign": {reason: "a Cluster that someone made is never taken over silently", live: owned(""), want: "adopt it with spec.provision.clusterRef"},
		"Earlier": {reason: "nor one of an earlier FleetCluster of this name", live: owned("uid-0"), want: "made for an earlier FleetCluster"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := ""
			if mistake := ownership(fleetCluster(withTopology), tc.live); mistake != nil {
				got = mistake.message
			}
			if !strings.Contains(got, tc.want) || (tc.want == "") != (got == "") {
				t.Errorf("%s: got %q, want one with %q", tc.reason, got, tc.want)
			}
		})
	}
}

// What is applied is seen as applied, also with what Cluster API's webhooks put in.
func TestApplied(t *testing.T) {
	want, err := desired(fleetCluster(withTopology))
	if err != nil {
		t.Fatal(err)
	}
	live := capi()
	live.Annotations = want.GetAnnotations()
	live.Spec.Topology = clusterv1.Topology{ClassRef: clusterv1.ClusterClassRef{Name: "standard", Namespace: "fleet"}, Version: "v1.36.3"}
	if same, err := applied(want, live); err != nil || !same {
		t.Errorf("a defaulted Cluster counts as changed (error %v)", err)
	}
	live.Spec.Topology.Version = "v1.35.0"
	if same, err := applied(want, live); err != nil || same {
		t.Errorf("a changed version counts as applied (error %v)", err)
	}
}

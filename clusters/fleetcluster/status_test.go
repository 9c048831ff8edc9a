package fleetcluster

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

var noon = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

func fleetCluster(change ...func(*v1alpha1.FleetCluster)) *v1alpha1.FleetCluster {
	c := &v1alpha1.FleetCluster{ObjectMeta: metav1.ObjectMeta{Name: "eu-1", Namespace: "fleet", UID: "uid-1", Generation: 3}}
	for _, f := range change {
		f(c)
	}
	return c
}

func withTopology(c *v1alpha1.FleetCluster) {
	c.Spec.Provision = &v1alpha1.Provision{Topology: &clusterv1.Topology{
		ClassRef: clusterv1.ClusterClassRef{Name: "standard"}, Version: "v1.36.3"}}
}

func withRef(c *v1alpha1.FleetCluster) {
	c.Spec.Provision = &v1alpha1.Provision{ClusterRef: &corev1.LocalObjectReference{Name: "theirs"}}
}

func withCondition(kind string, status metav1.ConditionStatus, message string) func(*v1alpha1.FleetCluster) {
	return func(c *v1alpha1.FleetCluster) {
		c.Status.Conditions = append(c.Status.Conditions, metav1.Condition{Type: kind, Status: status, Reason: "X", Message: message})
	}
}

func capi(conditions ...metav1.Condition) *clusterv1.Cluster {
	return &clusterv1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: "eu-1", Namespace: "fleet"},
		Status:     clusterv1.ClusterStatus{Conditions: conditions},
	}
}

func capiCondition(kind string, status metav1.ConditionStatus, reason, message string, age time.Duration) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(noon.Add(-age))}
}

func TestConditions(t *testing.T) {
	available := capiCondition("Available", metav1.ConditionTrue, "Available", "", time.Minute)
	unavailable := capiCondition("Available", metav1.ConditionFalse, "NotAvailable", "* ControlPlaneAvailable: starting", time.Minute)
	badClass := func(age time.Duration) metav1.Condition {
		return capiCondition("TopologyReconciled", metav1.ConditionFalse, "ReconcileFailed", `ClusterClass "x" not found`, age)
	}
	cases := map[string]struct {
		reason string
		view   view
		want   map[string]string // condition type -> "status reason: message"
	}{
		"JoinedNobodyYet": {
			reason: "a cluster without provision waits for an agent and says how to join",
			view:   view{cluster: fleetCluster()},
			want: map[string]string{"Ready": "False AgentMissing: no agent has joined yet: run `periplus cluster join eu-1 -n fleet`",
				"Reconciling": "True AgentMissing: no agent has joined yet: run `periplus cluster join eu-1 -n fleet`"},
		},
		"JoinedConnected": {
			reason: "the link is all that a joined cluster needs",
			view:   view{cluster: fleetCluster(withCondition("Connected", metav1.ConditionTrue, ""))},
			want:   map[string]string{"Ready": "True Ready: "},
		},
		"SilentIsUnknown": {
			reason: "a silent cluster is not said to be broken, with the link's own words",
			view:   view{cluster: fleetCluster(withCondition("Connected", metav1.ConditionUnknown, "not heard for 5m"))},
			want: map[string]string{"Ready": "Unknown Disconnected: not heard for 5m",
				"Reconciling": "True Disconnected: not heard for 5m"},
		},
		"Creating": {
			reason: "nothing of Cluster API is there yet",
			view:   view{cluster: fleetCluster(withTopology)},
			want: map[string]string{"Provisioned": "False ClusterCreating: the Cluster API Cluster is being made",
				"Ready":       "False NotProvisioned: the Cluster API Cluster is being made",
				"Reconciling": "True NotProvisioned: the Cluster API Cluster is being made"},
		},
		"NotAvailable": {
			reason: "Cluster API's own reason and message are handed on",
			view:   view{cluster: fleetCluster(withTopology), live: capi(unavailable)},
			want: map[string]string{"Provisioned": "False NotAvailable: * ControlPlaneAvailable: starting",
				"Ready":       "False NotProvisioned: * ControlPlaneAvailable: starting",
				"Reconciling": "True NotProvisioned: * ControlPlaneAvailable: starting"},
		},
		"AvailableWithoutAgent": {
			reason: "machines without an agent are not ready, and the installer's message is shown",
			view:   view{cluster: fleetCluster(withTopology, withCondition("AgentInstalled", metav1.ConditionFalse, "cannot reach it")), live: capi(available)},
			want: map[string]string{"Provisioned": "True Available: ", "Ready": "False AgentMissing: cannot reach it",
				"Reconciling": "True AgentMissing: cannot reach it"},
		},
		"AvailableAndConnected": {
			reason: "all there",
			view:   view{cluster: fleetCluster(withTopology, withCondition("Connected", metav1.ConditionTrue, "")), live: capi(available)},
			want:   map[string]string{"Provisioned": "True Available: ", "Ready": "True Ready: "},
		},
		"BadClassForASecond": {
			reason: "a class that was applied a moment ago fails for a second: no mistake yet",
			view:   view{cluster: fleetCluster(withTopology), live: capi(unavailable, badClass(time.Second))},
			want: map[string]string{"Provisioned": "False NotAvailable: * ControlPlaneAvailable: starting",
				"Ready":       "False NotProvisioned: * ControlPlaneAvailable: starting",
				"Reconciling": "True NotProvisioned: * ControlPlaneAvailable: starting"},
		},
		"BadClass": {
			reason: "a failure that lasts is a mistake in Git, in Cluster API's words",
			view:   view{cluster: fleetCluster(withTopology), live: capi(unavailable, badClass(time.Minute))},
			want: map[string]string{"Provisioned": "False NotAvailable: * ControlPlaneAvailable: starting",
				"Ready":   `False ReconcileFailed: ClusterClass "x" not found`,
				"Stalled": `True ReconcileFailed: ClusterClass "x" not found`},
		},
		"AdoptedButMissing": {
			reason: "a clusterRef to nothing says what to do",
			view:   view{cluster: fleetCluster(withRef)},
			want: map[string]string{
				"Provisioned": `False ClusterNotFound: no Cluster API Cluster "theirs" in namespace "fleet": make it, or correct spec.provision.clusterRef`,
				"Ready":       `False NotProvisioned: no Cluster API Cluster "theirs" in namespace "fleet": make it, or correct spec.provision.clusterRef`,
				"Reconciling": `True NotProvisioned: no Cluster API Cluster "theirs" in namespace "fleet": make it, or correct spec.provision.clusterRef`},
		},
		"Removing": {
			reason: "what the removal waits for is shown, and a topology that fails meanwhile is not",
			view:   view{cluster: fleetCluster(withTopology), live: capi(available, badClass(time.Minute)), removing: "bundles: 2 left"},
			want: map[string]string{"Provisioned": "True Available: ", "Ready": "False Removing: bundles: 2 left",
				"Reconciling": "True Removing: bundles: 2 left"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.view.now = noon
			got := map[string]string{}
			for _, c := range statusOf(tc.view).Conditions {
				got[c.Type] = string(c.Status) + " " + c.Reason + ": " + c.Message
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestMachines(t *testing.T) {
	n := func(i int32) *int32 { return &i }
	live := capi()
	live.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: "::1", Port: 6443}
	live.Status.ControlPlane = &clusterv1.ClusterControlPlaneStatus{DesiredReplicas: n(3), ReadyReplicas: n(2),
		Versions: []clusterv1.StatusVersion{{Version: "v1.35.1"}, {Version: "v1.36.3"}}}
	live.Status.Workers = &clusterv1.WorkersStatus{DesiredReplicas: n(5)}
	got := statusOf(view{cluster: fleetCluster(withTopology), live: live, now: noon})
	got.Conditions = nil
	want := v1alpha1.FleetClusterStatus{ObservedGeneration: 3, Version: "v1.35.1", Endpoint: "https://[::1]:6443",
		ControlPlane: &v1alpha1.ReplicaCount{Desired: 3, Ready: 2}, Workers: &v1alpha1.ReplicaCount{Desired: 5}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("during an upgrade the oldest version is the cluster's (-want +got):\n%s", diff)
	}
}

func TestSettling(t *testing.T) {
	failed := func(age time.Duration) *clusterv1.Cluster {
		return capi(capiCondition("TopologyReconciled", metav1.ConditionFalse, "ReconcileFailed", "", age))
	}
	cases := map[string]struct {
		reason string
		live   *clusterv1.Cluster
		want   time.Duration
	}{
		"None":      {reason: "there is nothing to wait for", want: 0},
		"Fresh":     {reason: "looked at again when the failure counts", live: failed(4 * time.Second), want: 6 * time.Second},
		"Old":       {reason: "it counts already", live: failed(time.Minute), want: 0},
		"Upgrading": {reason: "progress is no failure", live: capi(capiCondition("TopologyReconciled", metav1.ConditionFalse, "ClusterUpgrading", "", 0)), want: 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := settling(tc.live, noon); got != tc.want {
				t.Errorf("%s: got %s, want %s", tc.reason, got, tc.want)
			}
		})
	}
}

// A condition that says the same keeps its time: status that flaps wakes every watcher.
func TestStatusIsStable(t *testing.T) {
	cluster := fleetCluster(withTopology)
	cluster.Status = statusOf(view{cluster: cluster, now: noon})
	again := statusOf(view{cluster: cluster, now: noon.Add(time.Hour)})
	if diff := cmp.Diff(ours(cluster), again); diff != "" {
		t.Errorf("an hour later (-before +after):\n%s", diff)
	}
}

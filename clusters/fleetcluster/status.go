package fleetcluster

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/periplus-fleet/periplus/clusters/statusapply"
)

// Reasons of the conditions that this package writes; those of Provisioned are Cluster API's own where it has any.
const (
	ReasonReady             = "Ready"
	ReasonClusterCreating   = "ClusterCreating"
	ReasonClusterNotFound   = "ClusterNotFound"
	ReasonClusterExists     = "ClusterExists"
	ReasonClusterAPIMissing = "ClusterAPIMissing"
	ReasonTopologyRefused   = "TopologyRefused"
	ReasonProvisionRemoved  = "ProvisionRemoved"
	ReasonProtected         = "Protected"
	ReasonRemoving          = "Removing"
	ReasonAgentMissing      = "AgentMissing"
	ReasonDisconnected      = "Disconnected"
	ReasonNotProvisioned    = "NotProvisioned"
)

// settleTime is how long the topology controller may fail before we call it a mistake: a class that was applied a moment
// ago fails for about a second, until its variables are read.
const settleTime = 10 * time.Second

// view is all that a FleetCluster's status is computed from.
type view struct {
	cluster *v1alpha1.FleetCluster
	// live is the Cluster API Cluster behind it, nil where there is none.
	live    *clusterv1.Cluster
	mistake *mistake
	// removing says what its removal waits for, "" while it is not removed.
	removing string
	now      time.Time
}

// statusOf is this package's part of the status.
func statusOf(v view) v1alpha1.FleetClusterStatus {
	status := v1alpha1.FleetClusterStatus{ObservedGeneration: v.cluster.Generation}
	setMachines(&status, v.live)
	stalled := v.mistake
	if stalled == nil && v.removing == "" {
		stalled = topologyMistake(v.live, v.now)
	}
	var conditions []metav1.Condition
	provisioned := provisionedCondition(v, stalled)
	if provisioned != nil {
		conditions = append(conditions, *provisioned)
	}
	ready := readyCondition(v, stalled, provisioned)
	conditions = append(conditions, ready)
	if stalled != nil {
		conditions = append(conditions, metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue,
			Reason: stalled.reason, Message: stalled.message})
	} else if ready.Status != metav1.ConditionTrue {
		conditions = append(conditions, metav1.Condition{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue,
			Reason: ready.Reason, Message: ready.Message})
	}
	status.Conditions = statusapply.Conditions(v.cluster.Status.Conditions, conditions, v.cluster.Generation, metav1.NewTime(v.now))
	return status
}

// setMachines says what Cluster API knows of the machines.
func setMachines(status *v1alpha1.FleetClusterStatus, live *clusterv1.Cluster) {
	if live == nil {
		return
	}
	if endpoint := live.Spec.ControlPlaneEndpoint; endpoint.Host != "" {
		status.Endpoint = "https://" + net.JoinHostPort(endpoint.Host, strconv.Itoa(int(endpoint.Port)))
	}
	if plane := live.Status.ControlPlane; plane != nil {
		status.ControlPlane = replicas(plane.DesiredReplicas, plane.ReadyReplicas)
		if len(plane.Versions) > 0 {
			status.Version = plane.Versions[0].Version // old to new: the one that every machine has reached
		}
	}
	if workers := live.Status.Workers; workers != nil {
		status.Workers = replicas(workers.DesiredReplicas, workers.ReadyReplicas)
	}
}

// replicas is nil where Cluster API counts nothing.
func replicas(desired, ready *int32) *v1alpha1.ReplicaCount {
	if desired == nil {
		return nil
	}
	count := &v1alpha1.ReplicaCount{Desired: *desired}
	if ready != nil {
		count.Ready = *ready
	}
	return count
}

// topologyMistake is the topology controller's refusal, with its own words, once it lasted.
func topologyMistake(live *clusterv1.Cluster, now time.Time) *mistake {
	if live == nil {
		return nil
	}
	condition := apimeta.FindStatusCondition(live.Status.Conditions, clusterv1.ClusterTopologyReconciledCondition)
	if condition == nil || condition.Status != metav1.ConditionFalse || now.Sub(condition.LastTransitionTime.Time) < settleTime {
		return nil
	}
	switch condition.Reason {
	case clusterv1.ClusterTopologyReconciledFailedReason, clusterv1.ClusterTopologyReconciledClusterClassNotReconciledReason:
		return &mistake{reason: condition.Reason, message: condition.Message}
	default:
		return nil
	}
}

// settling says how long until topologyMistake may change its mind about the same Cluster, 0 when it will not.
func settling(live *clusterv1.Cluster, now time.Time) time.Duration {
	if live == nil || topologyMistake(live, now.Add(settleTime)) == nil || topologyMistake(live, now) != nil {
		return 0
	}
	condition := apimeta.FindStatusCondition(live.Status.Conditions, clusterv1.ClusterTopologyReconciledCondition)
	return settleTime - now.Sub(condition.LastTransitionTime.Time)
}

// provisionedCondition mirrors Cluster API's Available; nil for a cluster that joins by token.
func provisionedCondition(v view, stalled *mistake) *metav1.Condition {
	condition := &metav1.Condition{Type: v1alpha1.ConditionProvisioned, Status: metav1.ConditionFalse}
	switch {
	case v.cluster.Spec.Provision == nil && v.live == nil:
		return nil
	case v.live == nil && stalled != nil:
		condition.Reason, condition.Message = stalled.reason, stalled.message
	case v.live == nil && v.cluster.Spec.Provision.ClusterRef != nil:
		condition.Reason = ReasonClusterNotFound
		condition.Message = fmt.Sprintf("no Cluster API Cluster %q in namespace %q: make it, or correct spec.provision.clusterRef",
			v.cluster.Spec.Provision.ClusterRef.Name, v.cluster.Namespace)
	case v.live == nil:
		condition.Reason, condition.Message = ReasonClusterCreating, "the Cluster API Cluster is being made"
	default:
		available := apimeta.FindStatusCondition(v.live.Status.Conditions, clusterv1.ClusterAvailableCondition)
		if available == nil {
			condition.Reason, condition.Message = ReasonClusterCreating, "Cluster API has not yet said how the Cluster is"
			break
		}
		condition.Status, condition.Reason, condition.Message = available.Status, available.Reason, available.Message
	}
	return condition
}

// readyCondition sums up the cluster: machines, agent, link. What its bundles do stands in status.bundles.
func readyCondition(v view, stalled *mistake, provisioned *metav1.Condition) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse}
	connected := apimeta.FindStatusCondition(v.cluster.Status.Conditions, v1alpha1.ConditionConnected)
	installed := apimeta.FindStatusCondition(v.cluster.Status.Conditions, v1alpha1.ConditionAgentInstalled)
	switch {
	case stalled != nil:
		condition.Reason, condition.Message = stalled.reason, stalled.message
	case v.removing != "":
		condition.Reason, condition.Message = ReasonRemoving, v.removing
	case provisioned != nil && provisioned.Status != metav1.ConditionTrue:
		condition.Reason, condition.Message = ReasonNotProvisioned, provisioned.Message
		if provisioned.Message == "" {
			condition.Message = "Cluster API says: " + provisioned.Reason
		}
	case connected != nil && connected.Status == metav1.ConditionTrue:
		condition.Status, condition.Reason = metav1.ConditionTrue, ReasonReady
	case connected != nil && connected.Status == metav1.ConditionUnknown:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionUnknown, ReasonDisconnected, connected.Message
	case connected != nil:
		condition.Reason, condition.Message = ReasonDisconnected, connected.Message
	case provisioned != nil && (installed == nil || installed.Status != metav1.ConditionTrue):
		condition.Reason, condition.Message = ReasonAgentMissing, "the agent is not installed yet"
		if installed != nil && installed.Message != "" {
			condition.Message = installed.Message
		}
	case provisioned != nil:
		condition.Reason, condition.Message = ReasonAgentMissing, "the agent is installed and has not joined yet"
	default:
		condition.Reason = ReasonAgentMissing
		condition.Message = fmt.Sprintf("no agent has joined yet: run `periplus cluster join %s -n %s`", v.cluster.Name, v.cluster.Namespace)
	}
	return condition
}

package controlplane

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/cluster-api/util/patch"

	"github.com/periplus-fleet/periplus/clusters/local/member"
	"github.com/periplus-fleet/periplus/clusters/local/v1alpha1"
)

// Types and reasons of a LocalControlPlane's conditions.
const (
	ConditionAvailable  = "Available"
	ConditionRollingOut = "RollingOut"
	ConditionDeleting   = "Deleting"

	ReasonAvailable      = "Available"
	ReasonNoEndpoint     = "WaitingForEndpoint"
	ReasonVersionRefused = "VersionRefused"
	ReasonStarting       = "Starting"
	ReasonStartFailed    = "StartFailed"
	ReasonUpgrading      = "Upgrading"
	ReasonUpToDate       = "UpToDate"
	ReasonDeleting       = "Deleting"
)

var ownedConditions = patch.WithOwnedConditions{Conditions: []string{ConditionAvailable, ConditionRollingOut, ConditionDeleting}}

// observation is what one look at a member comes to.
type observation struct {
	// answers: the version that was asked for answers.
	answers bool
	// refused says why the version that is asked for now will never run.
	refused         string
	reason, message string
}

func observe(state member.State, wanted, refused string) observation {
	switch {
	case state.Err != nil:
		return observation{reason: ReasonStartFailed, message: state.Err.Error(), refused: refused}
	case state.Emulated != wanted:
		return observation{reason: ReasonStarting, message: "Kubernetes " + wanted + " is being started", refused: refused}
	default:
		return observation{answers: true, reason: ReasonAvailable, refused: refused}
	}
}

// report writes the status. What answered once stays initialized, and the version stays until another answers.
func report(plane *v1alpha1.LocalControlPlane, o observation) {
	plane.Status.ExternalManagedControlPlane = ptr.To(true)
	if o.answers {
		plane.Status.Initialization.ControlPlaneInitialized = ptr.To(true)
		if o.refused == "" {
			plane.Status.Version = plane.Spec.Version
			plane.Status.Versions = []clusterv1.StatusVersion{{Version: plane.Spec.Version}}
		}
	}
	available := metav1.Condition{Type: ConditionAvailable, Status: metav1.ConditionFalse, Reason: o.reason, Message: o.message}
	if o.answers {
		available.Status = metav1.ConditionTrue
	}
	rolling := metav1.Condition{Type: ConditionRollingOut, Status: metav1.ConditionFalse, Reason: ReasonUpToDate}
	switch {
	case o.refused != "":
		rolling.Reason, rolling.Message = ReasonVersionRefused, o.refused
	case plane.Status.Version != "" && plane.Status.Version != plane.Spec.Version:
		rolling.Status, rolling.Reason = metav1.ConditionTrue, ReasonUpgrading
		rolling.Message = "from " + plane.Status.Version + " to " + plane.Spec.Version
	}
	conditions.Set(plane, available)
	conditions.Set(plane, rolling)
	conditions.Set(plane, metav1.Condition{Type: ConditionDeleting, Status: metav1.ConditionFalse, Reason: "NotDeleting"})
}

func reportDeleting(plane *v1alpha1.LocalControlPlane) {
	conditions.Set(plane, metav1.Condition{Type: ConditionAvailable, Status: metav1.ConditionFalse, Reason: ReasonDeleting})
	conditions.Set(plane, metav1.Condition{Type: ConditionDeleting, Status: metav1.ConditionTrue, Reason: ReasonDeleting})
}

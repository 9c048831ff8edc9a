// Package v1alpha1 holds the kinds of the API group fleet.periplus.dev.
//
// FleetRepo, FleetCluster and JoinToken are true intent and live in the hub's Kubernetes API. Bundle, ClusterGroup and
// Policy are read from Git; their objects in the hub are projections that show state and cause nothing. PolicyBinding and
// PolicyExemption are read from Git only and have no object.
//
// +kubebuilder:object:generate=true
// +groupName=fleet.periplus.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of every kind in this package.
const Group = "fleet.periplus.dev"

// GroupVersion is the API version that stands on every object of the fleet repo.
var GroupVersion = schema.GroupVersion{Group: Group, Version: "v1alpha1"}

// AddToScheme registers the kinds that have objects in the hub's API.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&FleetRepo{}, &FleetRepoList{}, &FleetCluster{}, &FleetClusterList{}, &JoinToken{}, &JoinTokenList{},
		&Bundle{}, &BundleList{}, &ClusterGroup{}, &ClusterGroupList{}, &Policy{}, &PolicyList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}

// Package v1alpha1 holds the kinds of the local Cluster API provider: clusters whose API servers are processes of this
// machine and whose Nodes are simulated. They keep Cluster API's v1beta2 contract and are made by its topology controller
// from a ClusterClass; people write none of them but the templates.
//
// +kubebuilder:object:generate=true
// +groupName=local.fleet.periplus.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion of the kinds.
var GroupVersion = schema.GroupVersion{Group: "local.fleet.periplus.dev", Version: "v1alpha1"}

// AddToScheme registers the kinds.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&LocalCluster{}, &LocalClusterList{}, &LocalClusterTemplate{}, &LocalClusterTemplateList{},
		&LocalControlPlane{}, &LocalControlPlaneList{}, &LocalControlPlaneTemplate{}, &LocalControlPlaneTemplateList{},
		&LocalMachine{}, &LocalMachineList{}, &LocalMachineTemplate{}, &LocalMachineTemplateList{},
		&LocalBootstrap{}, &LocalBootstrapList{}, &LocalBootstrapTemplate{}, &LocalBootstrapTemplateList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}

// Finalizer of every kind that owns something outside the API: processes, an etcd prefix, a Node.
const Finalizer = "local.fleet.periplus.dev/member"

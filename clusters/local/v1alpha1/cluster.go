package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// LocalCluster is the place of one cluster on this machine: its port.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=cluster-api
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1alpha1"
// +kubebuilder:printcolumn:name="Port",type=integer,JSONPath=`.spec.controlPlaneEndpoint.port`
// +kubebuilder:printcolumn:name="Provisioned",type=boolean,JSONPath=`.status.initialization.provisioned`
type LocalCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// +optional
	Spec LocalClusterSpec `json:"spec,omitempty,omitzero"`
	// +optional
	Status LocalClusterStatus `json:"status,omitempty,omitzero"`
}

// GetConditions returns the status's conditions.
func (o *LocalCluster) GetConditions() []metav1.Condition { return o.Status.Conditions }

// SetConditions replaces the status's conditions.
func (o *LocalCluster) SetConditions(conditions []metav1.Condition) { o.Status.Conditions = conditions }

// LocalClusterSpec is empty when made; the provider fills it in.
type LocalClusterSpec struct {
	// ports that the API server's port is taken from. Default: the provider's range, recorded here when the port is taken.
	// +optional
	Ports PortRange `json:"ports,omitempty,omitzero"`
	// controlPlaneEndpoint of the API server, filled in by the provider.
	// +optional
	ControlPlaneEndpoint clusterv1.APIEndpoint `json:"controlPlaneEndpoint,omitempty,omitzero"`
}

// PortRange is a range of ports on 127.0.0.1.
//
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="self.first <= self.last",message="first must not be above last"
type PortRange struct {
	// first port of the range.
	// +required
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	First int32 `json:"first,omitempty"`
	// last port of the range.
	// +required
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	Last int32 `json:"last,omitempty"`
}

// LocalClusterStatus is what Cluster API reads.
type LocalClusterStatus struct {
	// conditions: Ready, Paused.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// initialization of the cluster's place.
	// +optional
	Initialization LocalProvisioned `json:"initialization,omitempty,omitzero"`
}

// LocalProvisioned is the contract's mark of infrastructure that is there.
//
// +kubebuilder:validation:MinProperties=1
type LocalProvisioned struct {
	// provisioned stays true once it was.
	// +optional
	Provisioned *bool `json:"provisioned,omitempty"`
}

// LocalClusterList is a list of LocalCluster.
//
// +kubebuilder:object:root=true
type LocalClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []LocalCluster `json:"items"`
}

// LocalClusterTemplate is what a ClusterClass makes a LocalCluster from.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:resource:categories=cluster-api
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1alpha1"
type LocalClusterTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// +required
	Spec LocalClusterTemplateSpec `json:"spec"`
}

// LocalClusterTemplateSpec wraps the template.
type LocalClusterTemplateSpec struct {
	// +required
	Template LocalClusterTemplateResource `json:"template"`
}

// LocalClusterTemplateResource is the template: metadata to add and the spec.
type LocalClusterTemplateResource struct {
	// +optional
	ObjectMeta clusterv1.ObjectMeta `json:"metadata,omitempty,omitzero"`
	// +optional
	Spec LocalClusterSpec `json:"spec,omitempty,omitzero"`
}

// LocalClusterTemplateList is a list of LocalClusterTemplate.
//
// +kubebuilder:object:root=true
type LocalClusterTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []LocalClusterTemplate `json:"items"`
}

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// LocalControlPlane is the control plane of one cluster: kube-apiserver, kube-controller-manager and kube-scheduler as
// processes of this machine.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=cluster-api
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1alpha1"
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="Wanted",type=string,JSONPath=`.spec.version`
// +kubebuilder:printcolumn:name="Available",type=string,JSONPath=`.status.conditions[?(@.type=="Available")].status`
type LocalControlPlane struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// +optional
	Spec LocalControlPlaneSpec `json:"spec,omitempty,omitzero"`
	// +optional
	Status LocalControlPlaneStatus `json:"status,omitempty,omitzero"`
}

// GetConditions returns the status's conditions.
func (o *LocalControlPlane) GetConditions() []metav1.Condition { return o.Status.Conditions }

// SetConditions replaces the status's conditions.
func (o *LocalControlPlane) SetConditions(conditions []metav1.Condition) {
	o.Status.Conditions = conditions
}

// LocalControlPlaneSpec is written by Cluster API's topology controller.
type LocalControlPlaneSpec struct {
	// version of Kubernetes, such as v1.36.0: the API server behaves as its minor version. The versions that one binary can
	// behave as are its own minor and the two before.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Version string `json:"version,omitempty"`
}

// LocalControlPlaneStatus is what Cluster API reads.
type LocalControlPlaneStatus struct {
	// conditions: Available, RollingOut, Deleting, Paused.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// initialization of the control plane.
	// +optional
	Initialization LocalControlPlaneInitialization `json:"initialization,omitempty,omitzero"`
	// version that runs; changed only once the new one answers.
	// +optional
	Version string `json:"version,omitempty"`
	// versions that run, oldest first; a local control plane has one API server, so one.
	// +optional
	// +listType=atomic
	Versions []clusterv1.StatusVersion `json:"versions,omitempty"`
	// externalManagedControlPlane is true: no Node stands for the control plane.
	// +optional
	ExternalManagedControlPlane *bool `json:"externalManagedControlPlane,omitempty"`
}

// LocalControlPlaneInitialization is the contract's mark of a control plane that once answered.
//
// +kubebuilder:validation:MinProperties=1
type LocalControlPlaneInitialization struct {
	// controlPlaneInitialized stays true once it was.
	// +optional
	ControlPlaneInitialized *bool `json:"controlPlaneInitialized,omitempty"`
}

// LocalControlPlaneList is a list of LocalControlPlane.
//
// +kubebuilder:object:root=true
type LocalControlPlaneList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []LocalControlPlane `json:"items"`
}

// LocalControlPlaneTemplate is what a ClusterClass makes a LocalControlPlane from.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:resource:categories=cluster-api
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1alpha1"
type LocalControlPlaneTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// +required
	Spec LocalControlPlaneTemplateSpec `json:"spec"`
}

// LocalControlPlaneTemplateSpec wraps the template.
type LocalControlPlaneTemplateSpec struct {
	// +required
	Template LocalControlPlaneTemplateResource `json:"template"`
}

// LocalControlPlaneTemplateResource is the template: metadata to add and the spec.
type LocalControlPlaneTemplateResource struct {
	// +optional
	ObjectMeta clusterv1.ObjectMeta `json:"metadata,omitempty,omitzero"`
	// +optional
	Spec LocalControlPlaneTemplateResourceSpec `json:"spec,omitempty,omitzero"`
}

// LocalControlPlaneTemplateList is a list of LocalControlPlaneTemplate.
//
// +kubebuilder:object:root=true
type LocalControlPlaneTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []LocalControlPlaneTemplate `json:"items"`
}

// LocalControlPlaneTemplateResourceSpec has no version: that is the topology's.
type LocalControlPlaneTemplateResourceSpec struct{}

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// LocalBootstrap stands where a real machine would get its join data: a simulated machine needs none, but Cluster API
// waits for it.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=cluster-api
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1alpha1"
type LocalBootstrap struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// +optional
	Spec LocalBootstrapSpec `json:"spec,omitempty,omitzero"`
	// +optional
	Status LocalBootstrapStatus `json:"status,omitempty,omitzero"`
}

// GetConditions returns the status's conditions.
func (o *LocalBootstrap) GetConditions() []metav1.Condition { return o.Status.Conditions }

// SetConditions replaces the status's conditions.
func (o *LocalBootstrap) SetConditions(conditions []metav1.Condition) {
	o.Status.Conditions = conditions
}

// LocalBootstrapSpec is empty: there is nothing to say.
type LocalBootstrapSpec struct{}

// LocalBootstrapStatus is what Cluster API reads.
type LocalBootstrapStatus struct {
	// conditions: Ready, Paused.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// initialization of the bootstrap data.
	// +optional
	Initialization LocalBootstrapInitialization `json:"initialization,omitempty,omitzero"`
	// dataSecretName of the Secret with the bootstrap data.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	DataSecretName string `json:"dataSecretName,omitempty"`
}

// LocalBootstrapInitialization is the contract's mark of bootstrap data that is there.
//
// +kubebuilder:validation:MinProperties=1
type LocalBootstrapInitialization struct {
	// dataSecretCreated stays true once it was.
	// +optional
	DataSecretCreated *bool `json:"dataSecretCreated,omitempty"`
}

// LocalBootstrapList is a list of LocalBootstrap.
//
// +kubebuilder:object:root=true
type LocalBootstrapList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []LocalBootstrap `json:"items"`
}

// LocalBootstrapTemplate is what a ClusterClass makes a LocalBootstrap from.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:resource:categories=cluster-api
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1alpha1"
type LocalBootstrapTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// +required
	Spec LocalBootstrapTemplateSpec `json:"spec"`
}

// LocalBootstrapTemplateSpec wraps the template.
type LocalBootstrapTemplateSpec struct {
	// +required
	Template LocalBootstrapTemplateResource `json:"template"`
}

// LocalBootstrapTemplateResource is the template: metadata to add and the spec.
type LocalBootstrapTemplateResource struct {
	// +optional
	ObjectMeta clusterv1.ObjectMeta `json:"metadata,omitempty,omitzero"`
	// +optional
	Spec LocalBootstrapSpec `json:"spec,omitempty,omitzero"`
}

// LocalBootstrapTemplateList is a list of LocalBootstrapTemplate.
//
// +kubebuilder:object:root=true
type LocalBootstrapTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []LocalBootstrapTemplate `json:"items"`
}

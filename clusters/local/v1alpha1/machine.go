package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// LocalMachine is one simulated machine: a Node in the cluster that KWOK keeps alive.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=cluster-api
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1alpha1"
// +kubebuilder:printcolumn:name="ProviderID",type=string,JSONPath=`.spec.providerID`
type LocalMachine struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// +optional
	Spec LocalMachineSpec `json:"spec,omitempty,omitzero"`
	// +optional
	Status LocalMachineStatus `json:"status,omitempty,omitzero"`
}

// GetConditions returns the status's conditions.
func (o *LocalMachine) GetConditions() []metav1.Condition { return o.Status.Conditions }

// SetConditions replaces the status's conditions.
func (o *LocalMachine) SetConditions(conditions []metav1.Condition) { o.Status.Conditions = conditions }

// LocalMachineSpec is empty when made; the provider fills it in.
type LocalMachineSpec struct {
	// providerID of the Node, filled in by the provider.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	ProviderID string `json:"providerID,omitempty"`
}

// LocalMachineStatus is what Cluster API reads.
type LocalMachineStatus struct {
	// conditions: Ready, Paused.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// initialization of the machine.
	// +optional
	Initialization LocalProvisioned `json:"initialization,omitempty,omitzero"`
	// addresses of the machine.
	// +optional
	// +listType=atomic
	Addresses []clusterv1.MachineAddress `json:"addresses,omitempty"`
}

// LocalMachineList is a list of LocalMachine.
//
// +kubebuilder:object:root=true
type LocalMachineList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []LocalMachine `json:"items"`
}

// LocalMachineTemplate is what a ClusterClass makes a LocalMachine from.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:resource:categories=cluster-api
// +kubebuilder:metadata:labels="cluster.x-k8s.io/v1beta2=v1alpha1"
type LocalMachineTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// +required
	Spec LocalMachineTemplateSpec `json:"spec"`
}

// LocalMachineTemplateSpec wraps the template.
type LocalMachineTemplateSpec struct {
	// +required
	Template LocalMachineTemplateResource `json:"template"`
}

// LocalMachineTemplateResource is the template: metadata to add and the spec.
type LocalMachineTemplateResource struct {
	// +optional
	ObjectMeta clusterv1.ObjectMeta `json:"metadata,omitempty,omitzero"`
	// +optional
	Spec LocalMachineSpec `json:"spec,omitempty,omitzero"`
}

// LocalMachineTemplateList is a list of LocalMachineTemplate.
//
// +kubebuilder:object:root=true
type LocalMachineTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []LocalMachineTemplate `json:"items"`
}

package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClusterGroup names a set of clusters. Its object in the hub's API is a projection of the fleet repo.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=pcg,categories=periplus
// +kubebuilder:printcolumn:name="Clusters",type=integer,JSONPath=`.status.clusters`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClusterGroup struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ClusterGroupSpec   `json:"spec"`
	Status ClusterGroupStatus `json:"status,omitempty"`
}

// ClusterGroupSpec chooses clusters of the namespace.
type ClusterGroupSpec struct {
	// ClusterSelector over labels; {} is every cluster.
	ClusterSelector metav1.LabelSelector `json:"clusterSelector"`
	// Share lets bundles of other namespaces reach these clusters.
	// +optional
	// +listType=atomic
	Share []GroupShare `json:"share,omitempty"`
}

// GroupShare is one namespace that may reach the group's clusters, and which namespaces there it may write.
type GroupShare struct {
	Namespace string `json:"namespace"`
	// TargetNamespaces on the clusters; * is a wildcard.
	// +listType=atomic
	TargetNamespaces []string `json:"targetNamespaces"`
}

// ClusterGroupStatus counts the group.
type ClusterGroupStatus struct {
	// +optional
	Clusters int32 `json:"clusters,omitempty"`
}

// ClusterGroupList is a list of ClusterGroups.
//
// +kubebuilder:object:root=true
type ClusterGroupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterGroup `json:"items"`
}

// Policy shows one Rego policy of the fleet repo. Its object in the hub's API is a projection.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ppl,categories=periplus
// +kubebuilder:printcolumn:name="Title",type=string,JSONPath=`.spec.title`
// +kubebuilder:printcolumn:name="Action",type=string,JSONPath=`.spec.action`
// +kubebuilder:printcolumn:name="Denied",type=integer,JSONPath=`.status.denied`
// +kubebuilder:printcolumn:name="Warned",type=integer,JSONPath=`.status.warned`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Policy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   PolicySpec   `json:"spec"`
	Status PolicyStatus `json:"status,omitempty"`
}

// PolicySpec is what the METADATA of the Rego package says.
type PolicySpec struct {
	// +optional
	Title string `json:"title,omitempty"`
	// +optional
	Description string `json:"description,omitempty"`
	// +optional
	// +listType=atomic
	Kinds []string `json:"kinds,omitempty"`
	// +optional
	// +listType=atomic
	Points []string `json:"points,omitempty"`
	// +optional
	Severity string `json:"severity,omitempty"`
	// +optional
	Action PolicyAction `json:"action,omitempty"`
}

// PolicyAction says what a policy's finding does.
type PolicyAction string

// The policy actions.
const (
	PolicyDeny  PolicyAction = "deny"
	PolicyWarn  PolicyAction = "warn"
	PolicyAudit PolicyAction = "audit"
)

// PolicyStatus counts findings at the gate.
type PolicyStatus struct {
	// +optional
	Denied int32 `json:"denied,omitempty"`
	// +optional
	Warned int32 `json:"warned,omitempty"`
}

// PolicyList is a list of Policies.
//
// +kubebuilder:object:root=true
type PolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Policy `json:"items"`
}

// PolicyBinding sets a policy's action and parameters for some clusters. It is read from policies/bindings.yaml.
type PolicyBinding struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        FileMeta          `json:"metadata"`
	Spec            PolicyBindingSpec `json:"spec"`
}

// FileMeta is the metadata of what stands in the fleet repo only and has no object in any API.
type FileMeta struct {
	Name string `json:"name"`
}

// PolicyBindingSpec: the narrowest selector wins per field, ties are an error.
type PolicyBindingSpec struct {
	// Policy is the Rego package's name.
	Policy string `json:"policy"`
	// ClusterSelector over labels; {} is every cluster.
	ClusterSelector metav1.LabelSelector `json:"clusterSelector"`
	// +optional
	Action PolicyAction `json:"action,omitempty"`
	// Parameters replace those of the METADATA key by key.
	// +optional
	Parameters map[string]apiextensionsv1.JSON `json:"parameters,omitempty"`
}

// PolicyExemption lets named objects pass a policy until a date. It is read from policies/exemptions.yaml.
type PolicyExemption struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        FileMeta            `json:"metadata"`
	Spec            PolicyExemptionSpec `json:"spec"`
}

// PolicyExemptionSpec says who, what, why and until when; all fields are required.
type PolicyExemptionSpec struct {
	Policy          string               `json:"policy"`
	ClusterSelector metav1.LabelSelector `json:"clusterSelector"`
	// +listType=atomic
	Objects []ObjectMatch `json:"objects"`
	Reason  string        `json:"reason"`
	Owner   string        `json:"owner"`
	Expires metav1.Time   `json:"expires"`
}

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FleetRepo names the Git repository that declares a fleet: its clusters, bundles and policies.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=fleetrepos,shortName=frepo,categories=periplus
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Commit",type=string,JSONPath=`.status.commit`
// +kubebuilder:printcolumn:name="Refused",type=integer,JSONPath=`.status.refusedCount`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type FleetRepo struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   FleetRepoSpec   `json:"spec"`
	Status FleetRepoStatus `json:"status,omitempty"`
}

// FleetRepoSpec says where the repository is and which part of it is in force.
type FleetRepoSpec struct {
	// URL of the repository: http(s)://, ssh://, git@host:path or file://.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:XValidation:rule="self.matches('^(https?|ssh|file)://.+|^[^/:@]+@[^/:]+:.+')",message="url must be http(s)://, ssh://, file:// or user@host:path"
	URL string `json:"url"`
	// Ref chooses what is in force. Default: branch main.
	// +optional
	Ref GitRef `json:"ref,omitempty"`
	// Interval between polls of the remote; a webhook makes it prompt. Default 1m, at least 1s.
	// +kubebuilder:default="1m"
	// +optional
	Interval metav1.Duration `json:"interval,omitempty"`
	// SecretRef names a Secret in this namespace: keys username and password, or token, or ssh-privatekey with known_hosts;
	// optionally ca.crt (PEM) for the server, and webhook-secret for the push webhook's HMAC.
	// +optional
	SecretRef *corev1.LocalObjectReference `json:"secretRef,omitempty"`
	// Path of the fleet repo's root inside the Git repository. Default: the root.
	// +optional
	Path string `json:"path,omitempty"`
	// ServiceAccountName acts for this repo when its objects are written to the hub's API. Default "periplus-fleet".
	// +kubebuilder:default="periplus-fleet"
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// History AppendOnly freezes the repo at its last good commit when a fetched commit does not descend from it.
	// +kubebuilder:validation:Enum=AppendOnly;Any
	// +kubebuilder:default=AppendOnly
	// +optional
	History HistoryPolicy `json:"history,omitempty"`
	// Suspend stops reading; what is in force stays, and self-healing goes on.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// HistoryPolicy says whether history may be rewritten.
type HistoryPolicy string

// The history policies.
const (
	HistoryAppendOnly HistoryPolicy = "AppendOnly"
	HistoryAny        HistoryPolicy = "Any"
)

// GitRef chooses a commit: exactly one field, or none for branch main.
//
// +kubebuilder:validation:XValidation:rule="(has(self.branch) ? 1 : 0) + (has(self.tag) ? 1 : 0) + (has(self.commit) ? 1 : 0) <= 1",message="at most one of branch, tag and commit"
type GitRef struct {
	// +optional
	Branch string `json:"branch,omitempty"`
	// +optional
	Tag string `json:"tag,omitempty"`
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{40}$`
	// +optional
	Commit string `json:"commit,omitempty"`
}

// FleetRepoStatus says what is in force and what was refused.
type FleetRepoStatus struct {
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Commit in force: the last one that was read and planned.
	// +optional
	Commit string `json:"commit,omitempty"`
	// FetchedCommit is the last one seen at the remote; it differs from Commit while a commit is being read or is refused whole.
	// +optional
	FetchedCommit string `json:"fetchedCommit,omitempty"`
	// LastFetch is when the remote last answered.
	// +optional
	LastFetch *metav1.Time `json:"lastFetch,omitempty"`
	// LastSync is the value of the sync annotation that was last carried out.
	// +optional
	LastSync string `json:"lastSync,omitempty"`
	// Refused lists what could not be read, at most 50 entries; what each file declared before stays in force.
	// +optional
	// +listType=atomic
	Refused []Refusal `json:"refused,omitempty"`
	// RefusedCount counts all refusals, also those beyond the list.
	// +optional
	RefusedCount int32 `json:"refusedCount,omitempty"`
	// +optional
	Clusters int32 `json:"clusters,omitempty"`
	// +optional
	Bundles int32 `json:"bundles,omitempty"`
	// +optional
	Policies int32 `json:"policies,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Refusal is one thing of the fleet repo that was not taken over, and why.
type Refusal struct {
	// File, relative to the fleet repo's root.
	File string `json:"file"`
	// Line in File, from 1; 0 where the whole file is meant.
	// +optional
	Line int32 `json:"line,omitempty"`
	// Field path in the document, such as spec.targets[0].clusterSelector.
	// +optional
	Field string `json:"field,omitempty"`
	// Message says what is wrong and what to do.
	Message string `json:"message"`
}

// FleetRepoList is a list of FleetRepos.
//
// +kubebuilder:object:root=true
type FleetRepoList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []FleetRepo `json:"items"`
}

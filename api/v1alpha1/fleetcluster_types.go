package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// FleetCluster is one member of the fleet, provisioned through Cluster API or joined by token.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=fcl,categories=periplus
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Connected",type=string,JSONPath=`.status.conditions[?(@.type=="Connected")].status`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="Bundles",type=string,JSONPath=`.status.bundles.display`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="a cluster's name is at most 63 characters"
type FleetCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec   FleetClusterSpec   `json:"spec,omitempty"`
	Status FleetClusterStatus `json:"status,omitempty"`
}

// FleetClusterSpec declares a cluster.
type FleetClusterSpec struct {
	// Variables for ${{ cluster.variables.<name> }} in bundles; any JSON value.
	// +optional
	Variables map[string]apiextensionsv1.JSON `json:"variables,omitempty"`
	// Properties are facts that propertySelector sees, beside those that the hub knows itself.
	// +optional
	Properties map[string]string `json:"properties,omitempty"`
	// Taints keep bundles away that do not tolerate them.
	// +optional
	// +listType=atomic
	Taints []ClusterTaint `json:"taints,omitempty"`
	// Provision makes the cluster through Cluster API; absent, an existing cluster joins by token.
	// +optional
	Provision *Provision `json:"provision,omitempty"`
	// +optional
	Deletion Deletion `json:"deletion,omitempty"`
	// +optional
	Identity Identity `json:"identity,omitempty"`
	// Agent chart values for a provisioned cluster, for example tenants; merged over the hub's defaults.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	AgentValues *apiextensionsv1.JSON `json:"agentValues,omitempty"`
}

// TaintEffect says what a taint does.
type TaintEffect string

// The taints' effects.
const (
	// NoSelect takes the cluster out of every bundle that does not tolerate the taint.
	NoSelect TaintEffect = "NoSelect"
	// NoSelectIfNew keeps new bundles away; those that are there stay.
	NoSelectIfNew TaintEffect = "NoSelectIfNew"
)

// ClusterTaint keeps bundles away from a cluster.
type ClusterTaint struct {
	Key string `json:"key"`
	// +optional
	Value string `json:"value,omitempty"`
	// +kubebuilder:validation:Enum=NoSelect;NoSelectIfNew
	Effect TaintEffect `json:"effect"`
}

// Provision says which Cluster API Cluster stands behind the FleetCluster: exactly one field.
//
// +kubebuilder:validation:XValidation:rule="has(self.topology) != has(self.clusterRef)",message="exactly one of topology and clusterRef"
type Provision struct {
	// Topology is Cluster API v1beta2's Cluster.spec.topology, word for word.
	// +optional
	Topology *clusterv1.Topology `json:"topology,omitempty"`
	// ClusterRef adopts a Cluster of this namespace that someone else owns: its agent is installed, the Cluster is never changed or deleted.
	// +optional
	ClusterRef *corev1.LocalObjectReference `json:"clusterRef,omitempty"`
}

// DeletionPolicy says what happens to a cluster, and to what runs on it, when its FleetCluster is removed.
type DeletionPolicy string

// The deletion policies.
const (
	// DeletionDelete removes the Cluster API Cluster (for a joined cluster: the bundles' objects).
	DeletionDelete DeletionPolicy = "Delete"
	// DeletionOrphan leaves the cluster and everything that runs on it as it is.
	DeletionOrphan DeletionPolicy = "Orphan"
)

// Deletion guards the removal of a cluster.
type Deletion struct {
	// Policy. Default Delete where we provision, Orphan where the cluster joined.
	// +kubebuilder:validation:Enum=Delete;Orphan
	// +optional
	Policy DeletionPolicy `json:"policy,omitempty"`
	// Protected refuses removal: first unprotect in one commit, then remove in the next. Default true where we provision.
	// +optional
	Protected *bool `json:"protected,omitempty"`
}

// Identity bounds which certificates the hub accepts from the cluster's agent.
type Identity struct {
	// NotBefore revokes every certificate issued before it.
	// +optional
	NotBefore *metav1.Time `json:"notBefore,omitempty"`
}

// FleetClusterStatus says how the cluster is.
type FleetClusterStatus struct {
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Version of Kubernetes that the cluster runs, as Cluster API or the agent reports it.
	// +optional
	Version string `json:"version,omitempty"`
	// Endpoint of the cluster's API server, where Cluster API knows it.
	// +optional
	Endpoint string `json:"endpoint,omitempty"`
	// AgentVersion of the connected agent.
	// +optional
	AgentVersion string `json:"agentVersion,omitempty"`
	// LastSeen is when the agent was last heard, to the minute while it is connected.
	// +optional
	LastSeen *metav1.Time `json:"lastSeen,omitempty"`
	// ControlPlane and Workers are replica counts of a provisioned cluster.
	// +optional
	ControlPlane *ReplicaCount `json:"controlPlane,omitempty"`
	// +optional
	Workers *ReplicaCount `json:"workers,omitempty"`
	// Bundles counts the deliveries of this cluster.
	// +optional
	Bundles *DeliveryCount `json:"bundles,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ReplicaCount is how many machines there are of how many.
type ReplicaCount struct {
	Desired int32 `json:"desired"`
	Ready   int32 `json:"ready"`
}

// DeliveryCount is how many deliveries are ready, held or failed of how many.
type DeliveryCount struct {
	Total  int32 `json:"total"`
	Ready  int32 `json:"ready"`
	Held   int32 `json:"held"`
	Failed int32 `json:"failed"`
	// Display is "ready/total", for printer columns.
	Display string `json:"display"`
}

// FleetClusterList is a list of FleetClusters.
//
// +kubebuilder:object:root=true
type FleetClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []FleetCluster `json:"items"`
}

// JoinToken lets an existing cluster join as the FleetCluster that it names. The token itself stands nowhere in the hub:
// it is shown once to whoever made it, and kept as a hash.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=periplus
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.spec.cluster`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.spec.expires`
// +kubebuilder:printcolumn:name="Uses",type=integer,JSONPath=`.status.uses`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
type JoinToken struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   JoinTokenSpec   `json:"spec"`
	Status JoinTokenStatus `json:"status,omitempty"`
}

// JoinTokenSpec binds a token.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a JoinToken cannot be changed; revoke it and make another"
type JoinTokenSpec struct {
	// Cluster is the FleetCluster of this namespace that may join with the token.
	// +kubebuilder:validation:MinLength=1
	Cluster string `json:"cluster"`
	// Hash is the lower-case hex sha256 of the token.
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	Hash string `json:"hash"`
	// Expires ends the token's life.
	Expires metav1.Time `json:"expires"`
	// Uses is how many keys may join with the token. Default 1. The same key joining again is not a new use.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +optional
	Uses int32 `json:"uses,omitempty"`
	// Rejoin allows the token for a cluster that has a living identity; joining then revokes the old one.
	// +optional
	Rejoin bool `json:"rejoin,omitempty"`
}

// JoinTokenStatus says how often the token was used.
type JoinTokenStatus struct {
	// +optional
	Uses int32 `json:"uses,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// JoinTokenList is a list of JoinTokens.
//
// +kubebuilder:object:root=true
type JoinTokenList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []JoinToken `json:"items"`
}

package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Bundle is a unit of delivery: a source, targets, and how to roll it out. It is written as bundles/<name>/bundle.yaml in
// the fleet repo; the object in the hub's API is a projection of it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=pbd,categories=periplus
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Clusters",type=string,JSONPath=`.status.clusters.display`
// +kubebuilder:printcolumn:name="Commit",type=string,JSONPath=`.status.commit`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Bundle struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   BundleSpec   `json:"spec"`
	Status BundleStatus `json:"status,omitempty"`
}

// BundleSpec declares a bundle.
type BundleSpec struct {
	// Source of the objects. Default: every manifest beside bundle.yaml.
	// +optional
	Source *BundleSource `json:"source,omitempty"`
	// Namespace for namespaced objects that name none.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Values are inputs of the renderer; strings may hold ${{ CEL }} over cluster. An error where the renderer takes none.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +optional
	Values *apiextensionsv1.JSON `json:"values,omitempty"`
	// Set writes values into rendered objects: cheap, and shares the render between clusters.
	// +optional
	// +listType=atomic
	Set []SetValue `json:"set,omitempty"`
	// Labels are added to every object.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Patches change rendered objects, before those of the target.
	// +optional
	// +listType=atomic
	Patches []Patch `json:"patches,omitempty"`
	// Targets: the first match wins; a cluster that matches none gets nothing.
	// +kubebuilder:validation:MinItems=1
	// +listType=atomic
	Targets []Target `json:"targets"`
	// DependsOn holds this bundle on a cluster until each of these is ready there.
	// +optional
	// +listType=atomic
	DependsOn []Dependency `json:"dependsOn,omitempty"`
	// +optional
	Drift Drift `json:"drift,omitempty"`
	// +optional
	Prune Prune `json:"prune,omitempty"`
	// ServiceAccountName that the agent acts as: one of those that the cluster's owner allows this tenant.
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// OnFailure says what happens when the bundle's health fails on a cluster. Default Hold.
	// +kubebuilder:validation:Enum=Hold;Rollback
	// +optional
	OnFailure FailurePolicy `json:"onFailure,omitempty"`
	// Suspend keeps what is assigned, for a stated time.
	// +optional
	Suspend *Suspend `json:"suspend,omitempty"`
	// +optional
	Health Health `json:"health,omitempty"`
}

// BundleSource is exactly one of its fields.
//
// +kubebuilder:validation:XValidation:rule="(has(self.helm) ? 1 : 0) + (has(self.kustomize) ? 1 : 0) + (has(self.plugin) ? 1 : 0) + (has(self.git) ? 1 : 0) <= 1",message="at most one of helm, kustomize, plugin and git"
type BundleSource struct {
	// +optional
	Helm *HelmSource `json:"helm,omitempty"`
	// +optional
	Kustomize *KustomizeSource `json:"kustomize,omitempty"`
	// +optional
	Plugin *PluginSource `json:"plugin,omitempty"`
	// +optional
	Git *GitSource `json:"git,omitempty"`
}

// HelmSource renders a chart.
type HelmSource struct {
	// Chart is the path of a chart, relative to the bundle's folder and inside the repository.
	// +optional
	Chart string `json:"chart,omitempty"`
	// +optional
	Repository string `json:"repository,omitempty"`
	// +optional
	OCI string `json:"oci,omitempty"`
	// +optional
	Name string `json:"name,omitempty"`
	// +optional
	Version string `json:"version,omitempty"`
	// ReleaseName. Default: the bundle's name.
	// +optional
	ReleaseName string `json:"releaseName,omitempty"`
	// ValuesFiles relative to the bundle's folder, later ones over earlier ones; spec.values over all.
	// +optional
	// +listType=atomic
	ValuesFiles []string `json:"valuesFiles,omitempty"`
}

// KustomizeSource builds a kustomization.
type KustomizeSource struct {
	// Path of the folder with the kustomization, relative to the bundle's folder. Default ".".
	// +optional
	Path string `json:"path,omitempty"`
}

// PluginSource renders with an external plugin.
type PluginSource struct {
	Name string `json:"name"`
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +optional
	Config *apiextensionsv1.JSON `json:"config,omitempty"`
}

// GitSource takes the content from another FleetRepo of this namespace.
type GitSource struct {
	Repo string `json:"repo"`
	// +optional
	Ref GitRef `json:"ref,omitempty"`
	// +optional
	Path string `json:"path,omitempty"`
}

// SetValue writes one value into the rendered objects that Target matches.
type SetValue struct {
	Target ObjectMatch `json:"target"`
	// Pointer is a JSON pointer (RFC 6901) to the field; missing parents are made.
	// +kubebuilder:validation:Pattern=`^/`
	Pointer string `json:"pointer"`
	// Value, with ${{ CEL }} in strings.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	Value apiextensionsv1.JSON `json:"value"`
}

// ObjectMatch matches objects; an empty field matches all.
type ObjectMatch struct {
	// +optional
	Group string `json:"group,omitempty"`
	// +optional
	Kind string `json:"kind,omitempty"`
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Name may hold * as a wildcard.
	// +optional
	Name string `json:"name,omitempty"`
}

// Patch is a strategic merge patch or a JSON 6902 patch, as YAML text.
type Patch struct {
	// +optional
	Target *ObjectMatch `json:"target,omitempty"`
	Patch  string       `json:"patch"`
}

// Target chooses clusters and says what differs for them.
type Target struct {
	// +optional
	Name string `json:"name,omitempty"`
	// ClusterSelector over the cluster's labels; {} is every cluster. One of clusterSelector and clusterGroup is required.
	// +optional
	ClusterSelector *metav1.LabelSelector `json:"clusterSelector,omitempty"`
	// ClusterGroup by name.
	// +optional
	ClusterGroup string `json:"clusterGroup,omitempty"`
	// Ref takes the bundle's content from another branch, tag or commit of the same repository.
	// +optional
	Ref *GitRef `json:"ref,omitempty"`
	// Source instead of the bundle's.
	// +optional
	Source *BundleSource `json:"source,omitempty"`
	// Values over the bundle's.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +optional
	Values *apiextensionsv1.JSON `json:"values,omitempty"`
	// Set after the bundle's.
	// +optional
	// +listType=atomic
	Set []SetValue `json:"set,omitempty"`
	// Patches after the bundle's.
	// +optional
	// +listType=atomic
	Patches []Patch `json:"patches,omitempty"`
}

// Dependency names a bundle of the same namespace.
type Dependency struct {
	Bundle string `json:"bundle"`
}

// DriftMode says what an agent does about a change by others.
type DriftMode string

// The drift modes. The default is Correct.
const (
	DriftCorrect DriftMode = "Correct"
	DriftReport  DriftMode = "Report"
	DriftIgnore  DriftMode = "Ignore"
)

// Drift says what an agent does about changes by others to fields that the bundle owns.
type Drift struct {
	// +kubebuilder:validation:Enum=Correct;Report;Ignore
	// +optional
	Mode DriftMode `json:"mode,omitempty"`
	// +optional
	// +listType=atomic
	Ignore []DriftIgnoreRule `json:"ignore,omitempty"`
}

// DriftIgnoreRule leaves fields of matching objects to others: they are applied at creation only.
type DriftIgnoreRule struct {
	ObjectMatch `json:",inline"`
	// Pointers are JSON pointers.
	// +listType=atomic
	Pointers []string `json:"pointers"`
}

// Prune bounds what an agent removes without a person's word.
type Prune struct {
	// +optional
	Budget *PruneBudget `json:"budget,omitempty"`
}

// PruneBudget is the larger of both, of the bundle's objects on a cluster. Default 10 objects, 25 percent.
type PruneBudget struct {
	// +kubebuilder:validation:Minimum=0
	// +optional
	Objects *int32 `json:"objects,omitempty"`
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	Percent *int32 `json:"percent,omitempty"`
}

// FailurePolicy says what happens when health fails.
type FailurePolicy string

// The failure policies.
const (
	FailureHold     FailurePolicy = "Hold"
	FailureRollback FailurePolicy = "Rollback"
)

// Suspend pauses delivery until a time.
type Suspend struct {
	Reason string      `json:"reason"`
	Until  metav1.Time `json:"until"`
}

// Health bounds how long a bundle may take to become ready.
type Health struct {
	// Timeout. Default 5m.
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}

// BundleStatus sums up the bundle's deliveries.
type BundleStatus struct {
	// Commit that the bundle was last read at.
	// +optional
	Commit string `json:"commit,omitempty"`
	// +optional
	Clusters *DeliveryCount `json:"clusters,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BundleList is a list of Bundles.
//
// +kubebuilder:object:root=true
type BundleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Bundle `json:"items"`
}

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
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
	// ValuesFrom are ConfigMaps and Secrets of the hub's namespace of this tenant, below values; later ones over earlier ones.
	// They are watched. What a Secret gives is kept encrypted and masked.
	// +optional
	// +listType=atomic
	ValuesFrom []ValuesReference `json:"valuesFrom,omitempty"`
	// Set writes values into rendered objects: cheap, and shares the render between clusters.
	// +optional
	// +listType=atomic
	Set []SetValue `json:"set,omitempty"`
	// Labels are added to every object.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations are added to every object.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// Patches change rendered objects, before those of the target.
	// +optional
	// +listType=atomic
	Patches []Patch `json:"patches,omitempty"`
	// Targets: the first match wins; a cluster that matches none gets nothing.
	// +kubebuilder:validation:MinItems=1
	// +listType=atomic
	Targets []Target `json:"targets"`
	// Overlays: all that match a cluster are layered over its target, in their order. They choose no cluster by themselves.
	// +optional
	// +listType=atomic
	Overlays []Overlay `json:"overlays,omitempty"`
	// Exclude takes clusters out, whatever the targets say.
	// +optional
	// +listType=atomic
	Exclude []ClusterMatch `json:"exclude,omitempty"`
	// Tolerations let the bundle reach clusters with these taints.
	// +optional
	// +listType=atomic
	Tolerations []ClusterToleration `json:"tolerations,omitempty"`
	// Decrypt says where SOPS-encrypted values and generator inputs are opened; sealed manifests are opened by the agent
	// unless it is hub.
	// +kubebuilder:validation:Enum=hub
	// +optional
	Decrypt DecryptPlace `json:"decrypt,omitempty"`
	// Generate says which fields may differ at each rendering.
	// +optional
	Generate Generate `json:"generate,omitempty"`
	// DependsOn holds this bundle on a cluster until each of these is ready there.
	// +optional
	// +listType=atomic
	DependsOn []Dependency `json:"dependsOn,omitempty"`
	// +optional
	Drift Drift `json:"drift,omitempty"`
	// +optional
	Prune Prune `json:"prune,omitempty"`
	// Adopt says when an object that exists and that no bundle of the cluster has is taken over: Never (the default),
	// IfUnowned (nobody manages it), IfEqual (an apply would not change it) or Always.
	// +kubebuilder:validation:Enum=Never;IfUnowned;IfEqual;Always
	// +optional
	Adopt AdoptPolicy `json:"adopt,omitempty"`
	// Objects says how single objects are treated: what annotations fleet.periplus.dev/{prune,apply,adopt,wave,timeout,ignore}
	// in the manifests say too, for manifests that others write. Later rules win over earlier ones, annotations over rules.
	// +optional
	// +listType=atomic
	Objects []ObjectRule `json:"objects,omitempty"`
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

// BundleSource is one of its fields.
//
// +kubebuilder:validation:MaxProperties=1
type BundleSource struct {
	// +optional
	Helm *HelmSource `json:"helm,omitempty"`
	// +optional
	Kustomize *KustomizeSource `json:"kustomize,omitempty"`
	// +optional
	Jsonnet *JsonnetSource `json:"jsonnet,omitempty"`
	// +optional
	Plugin *PluginSource `json:"plugin,omitempty"`
	// +optional
	Git *GitSource `json:"git,omitempty"`
}

// HelmSource renders a chart: one of chart, repository with name, and oci.
type HelmSource struct {
	// Chart is the path of a chart, relative to the bundle's folder and inside the repository.
	// +optional
	Chart string `json:"chart,omitempty"`
	// Repository is the URL (http or https) of a classic chart repository.
	// +optional
	Repository string `json:"repository,omitempty"`
	// OCI is the chart's reference without tag: oci://registry/path/chart.
	// +optional
	OCI string `json:"oci,omitempty"`
	// Name of the chart in the repository.
	// +optional
	Name string `json:"name,omitempty"`
	// Version or range of versions; resolved when the bundle's commit is read, and recorded.
	// +optional
	Version string `json:"version,omitempty"`
	// SecretRef names a Secret beside the FleetRepo with username and password, or token, and ca.crt for the repository.
	// +optional
	SecretRef *corev1.LocalObjectReference `json:"secretRef,omitempty"`
	// SkipCRDs leaves out the chart's crds folder.
	// +optional
	SkipCRDs bool `json:"skipCRDs,omitempty"`
	// Tests runs the chart's test hooks once a new revision is ready; they are left out otherwise.
	// +optional
	Tests bool `json:"tests,omitempty"`
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

// JsonnetSource evaluates a Jsonnet file: an object, or lists and mappings of objects of any depth.
type JsonnetSource struct {
	// Path of the file, relative to the bundle's folder. Default "main.jsonnet".
	// +optional
	Path string `json:"path,omitempty"`
	// ImportPaths are folders inside the repository, relative to the bundle's, where imports are looked up.
	// +optional
	// +listType=atomic
	ImportPaths []string `json:"importPaths,omitempty"`
	// ValuesAs says how spec.values reach the file: as ExtVars (std.extVar, the default) or as top-level arguments.
	// +kubebuilder:validation:Enum=ExtVars;TLAs
	// +optional
	ValuesAs string `json:"valuesAs,omitempty"`
}

// PluginSource renders with an external plugin.
type PluginSource struct {
	Name string `json:"name"`
	// Path given to the plugin, relative to the bundle's folder. Default ".".
	// +optional
	Path string `json:"path,omitempty"`
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

// ClusterMatch chooses clusters: by each field that is given, all of them together.
type ClusterMatch struct {
	// ClusterSelector over the cluster's labels; {} is every cluster.
	// +optional
	ClusterSelector *metav1.LabelSelector `json:"clusterSelector,omitempty"`
	// ClusterGroup by name.
	// +optional
	ClusterGroup string `json:"clusterGroup,omitempty"`
	// ClusterNames with * as a wildcard; one of them must match.
	// +optional
	// +listType=atomic
	ClusterNames []string `json:"clusterNames,omitempty"`
	// PropertySelector over the cluster's properties: kubernetesVersion (of the declaration), provider, class and those of
	// spec.properties.
	// +optional
	PropertySelector *metav1.LabelSelector `json:"propertySelector,omitempty"`
	// Expression in CEL over cluster that gives a boolean, without ${{ }}.
	// +optional
	Expression string `json:"expression,omitempty"`
}

// Target chooses clusters and says what differs for them. At least one field of its ClusterMatch is required.
type Target struct {
	// +optional
	Name         string `json:"name,omitempty"`
	ClusterMatch `json:",inline"`
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
	// ValuesFrom over the bundle's valuesFrom, below all values.
	// +optional
	// +listType=atomic
	ValuesFrom []ValuesReference `json:"valuesFrom,omitempty"`
	// Set after the bundle's.
	// +optional
	// +listType=atomic
	Set []SetValue `json:"set,omitempty"`
	// Patches after the bundle's.
	// +optional
	// +listType=atomic
	Patches []Patch `json:"patches,omitempty"`
}

// Overlay says what differs for the clusters that it matches, over what their target says.
type Overlay struct {
	// +optional
	Name         string `json:"name,omitempty"`
	ClusterMatch `json:",inline"`
	// Values over those of the target and of earlier overlays.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +optional
	Values *apiextensionsv1.JSON `json:"values,omitempty"`
	// Set after the target's.
	// +optional
	// +listType=atomic
	Set []SetValue `json:"set,omitempty"`
	// Patches after the target's.
	// +optional
	// +listType=atomic
	Patches []Patch `json:"patches,omitempty"`
}

// ClusterToleration tolerates taints of clusters, as a pod tolerates those of nodes.
type ClusterToleration struct {
	// Key of the taint; empty with operator Exists is every taint.
	// +optional
	Key string `json:"key,omitempty"`
	// Operator is Equal (the default) or Exists.
	// +kubebuilder:validation:Enum=Equal;Exists
	// +optional
	Operator string `json:"operator,omitempty"`
	// +optional
	Value string `json:"value,omitempty"`
	// Effect; empty is every effect.
	// +kubebuilder:validation:Enum=NoSelect;NoSelectIfNew
	// +optional
	Effect TaintEffect `json:"effect,omitempty"`
}

// ValuesReference takes values from an object of the hub's API, in the tenant's namespace: exactly one of configMap and
// secret.
//
// +kubebuilder:validation:XValidation:rule="has(self.configMap) != has(self.secret)",message="exactly one of configMap and secret"
type ValuesReference struct {
	// +optional
	ConfigMap *KeyReference `json:"configMap,omitempty"`
	// +optional
	Secret *KeyReference `json:"secret,omitempty"`
	// At is where in values the content goes, as a JSON pointer. Default: the root, where the content must be a mapping.
	// +optional
	At string `json:"at,omitempty"`
	// Optional says that the object or key may be absent.
	// +optional
	Optional bool `json:"optional,omitempty"`
}

// KeyReference names a key of an object. The key's content is YAML; below At it may be plain text.
type KeyReference struct {
	Name string `json:"name"`
	// Key. Default "values.yaml".
	// +optional
	Key string `json:"key,omitempty"`
}

// DecryptPlace says where encrypted content is opened.
type DecryptPlace string

// DecryptHub opens it at the hub, with its decrypter plugin; the revision is then encrypted in the store and masked.
const DecryptHub DecryptPlace = "hub"

// Generate marks fields that a renderer makes up: random passwords, certificates, dates.
type Generate struct {
	// Once: the first rendering for a cluster counts; the agent applies it when it creates the object, and never overwrites it.
	// +optional
	// +listType=atomic
	Once []FieldRule `json:"once,omitempty"`
}

// FieldRule names fields of the objects that it matches.
type FieldRule struct {
	ObjectMatch `json:",inline"`
	// Pointers are JSON pointers.
	// +listType=atomic
	Pointers []string `json:"pointers"`
}

// Dependency is one thing that must be ready first: a bundle of the same namespace on the same cluster, that bundle on other
// clusters, or an object on the same cluster.
//
// +kubebuilder:validation:XValidation:rule="has(self.bundle) != has(self.object)",message="exactly one of bundle and object"
type Dependency struct {
	// +optional
	Bundle string `json:"bundle,omitempty"`
	// ClusterSelector means the bundle on every cluster that it selects, instead of on the same one.
	// +optional
	ClusterSelector *metav1.LabelSelector `json:"clusterSelector,omitempty"`
	// Object of the same cluster that must exist and be healthy.
	// +optional
	Object *DependencyObject `json:"object,omitempty"`
}

// DependencyObject names an object of a cluster.
type DependencyObject struct {
	// +optional
	Group string `json:"group,omitempty"`
	Kind  string `json:"kind"`
	// +optional
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
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
	// Pointers are JSON pointers. At least one of pointers and managers.
	// +optional
	// +listType=atomic
	Pointers []string `json:"pointers,omitempty"`
	// Managers are field managers whose changes are left alone, whatever field they own; * is a wildcard.
	// +optional
	// +listType=atomic
	Managers []string `json:"managers,omitempty"`
}

// AdoptPolicy says when an existing object is taken over.
type AdoptPolicy string

// The adoption policies.
const (
	AdoptNever     AdoptPolicy = "Never"
	AdoptIfUnowned AdoptPolicy = "IfUnowned"
	AdoptIfEqual   AdoptPolicy = "IfEqual"
	AdoptAlways    AdoptPolicy = "Always"
)

// ObjectRule says how the objects that it matches are treated. A field that is not given leaves what earlier rules say.
type ObjectRule struct {
	ObjectMatch `json:",inline"`
	// Prune is never for objects that stay when they leave the bundle, always for those that go without a person's word.
	// +kubebuilder:validation:Enum=never;always
	// +optional
	Prune string `json:"prune,omitempty"`
	// Apply is create-only, replace (made anew where a field cannot be changed) or ignore.
	// +kubebuilder:validation:Enum=create-only;replace;ignore
	// +optional
	Apply string `json:"apply,omitempty"`
	// +kubebuilder:validation:Enum=never;if-unowned;if-equal;always
	// +optional
	Adopt string `json:"adopt,omitempty"`
	// Wave: the objects of a wave are applied once all of lower waves are healthy. Default 0.
	// +kubebuilder:validation:Minimum=-1000
	// +kubebuilder:validation:Maximum=1000
	// +optional
	Wave *int `json:"wave,omitempty"`
	// Timeout in which an object is to be healthy. Default: the bundle's health.timeout.
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// Ignore are JSON pointers of fields that are left to others once the object is there.
	// +optional
	// +listType=atomic
	Ignore []string `json:"ignore,omitempty"`
}

// RemovalPolicy says what becomes of a bundle's objects when it leaves a cluster.
type RemovalPolicy string

// The removal policies. The default is Delete.
const (
	RemovalDelete RemovalPolicy = "Delete"
	RemovalOrphan RemovalPolicy = "Orphan"
)

// Prune bounds what an agent removes without a person's word.
type Prune struct {
	// OnRemoval says what becomes of the objects when the bundle leaves a cluster: Delete (the default) or Orphan.
	// +kubebuilder:validation:Enum=Delete;Orphan
	// +optional
	OnRemoval RemovalPolicy `json:"onRemoval,omitempty"`
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

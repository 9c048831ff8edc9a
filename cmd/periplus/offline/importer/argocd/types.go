package argocd

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// The fields of Argo CD's objects that the importer understands; all others are reported.

type object struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		Finalizers  []string          `json:"finalizers"`
	} `json:"metadata"`
}

type application struct {
	object `json:",inline"`
	Spec   applicationSpec `json:"spec"`
}

type applicationSpec struct {
	Project     string      `json:"project"`
	Destination destination `json:"destination"`
	Source      *source     `json:"source"`
	Sources     []source    `json:"sources"`
	SyncPolicy  *syncPolicy `json:"syncPolicy"`
	Ignore      []ignore    `json:"ignoreDifferences"`
	Info        []any       `json:"info"`
	History     *int        `json:"revisionHistoryLimit"`
}

type destination struct {
	Server    string `json:"server"`
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

type source struct {
	RepoURL        string         `json:"repoURL"`
	Path           string         `json:"path"`
	TargetRevision string         `json:"targetRevision"`
	Chart          string         `json:"chart"`
	Ref            string         `json:"ref"`
	Name           string         `json:"name"`
	Helm           *helmSource    `json:"helm"`
	Kustomize      *kustomization `json:"kustomize"`
	Directory      *directory     `json:"directory"`
	Plugin         map[string]any `json:"plugin"`
}

type helmSource struct {
	ValueFiles     []string       `json:"valueFiles"`
	Parameters     []parameter    `json:"parameters"`
	FileParameters []parameter    `json:"fileParameters"`
	ReleaseName    string         `json:"releaseName"`
	Values         string         `json:"values"`
	ValuesObject   map[string]any `json:"valuesObject"`
	Version        string         `json:"version"`
	IgnoreMissing  bool           `json:"ignoreMissingValueFiles"`
	SkipCRDs       bool           `json:"skipCrds"`
	SkipTests      bool           `json:"skipTests"`
	SkipSchema     bool           `json:"skipSchemaValidation"`
	PassCreds      bool           `json:"passCredentials"`
	Namespace      string         `json:"namespace"`
	KubeVersion    string         `json:"kubeVersion"`
	APIVersions    []string       `json:"apiVersions"`
}

type parameter struct {
	Name        string `json:"name"`
	Value       string `json:"value"`
	Path        string `json:"path"`
	ForceString bool   `json:"forceString"`
}

type kustomization struct {
	NamePrefix       string            `json:"namePrefix"`
	NameSuffix       string            `json:"nameSuffix"`
	Images           []string          `json:"images"`
	Replicas         []replicas        `json:"replicas"`
	CommonLabels     map[string]string `json:"commonLabels"`
	WithoutSelector  bool              `json:"labelWithoutSelector"`
	IncludeTemplates bool              `json:"labelIncludeTemplates"`
	ForceLabels      bool              `json:"forceCommonLabels"`
	Annotations      map[string]string `json:"commonAnnotations"`
	ForceAnnotations bool              `json:"forceCommonAnnotations"`
	Envsubst         bool              `json:"commonAnnotationsEnvsubst"`
	Namespace        string            `json:"namespace"`
	Patches          []map[string]any  `json:"patches"`
	Components       []string          `json:"components"`
	Version          string            `json:"version"`
}

type replicas struct {
	Name  string `json:"name"`
	Count any    `json:"count"`
}

type directory struct {
	Recurse bool   `json:"recurse"`
	Include string `json:"include"`
	Exclude string `json:"exclude"`
	Jsonnet *struct {
		ExtVars []jsonnetVar `json:"extVars"`
		TLAs    []jsonnetVar `json:"tlas"`
		Libs    []string     `json:"libs"`
	} `json:"jsonnet"`
}

type jsonnetVar struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Code  bool   `json:"code"`
}

type syncPolicy struct {
	Automated *struct {
		Prune      bool  `json:"prune"`
		SelfHeal   bool  `json:"selfHeal"`
		AllowEmpty bool  `json:"allowEmpty"`
		Enabled    *bool `json:"enabled"`
	} `json:"automated"`
	SyncOptions []string `json:"syncOptions"`
	Retry       any      `json:"retry"`
	Managed     *struct {
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"managedNamespaceMetadata"`
}

type ignore struct {
	Group    string   `json:"group"`
	Kind     string   `json:"kind"`
	Name     string   `json:"name"`
	NS       string   `json:"namespace"`
	Pointers []string `json:"jsonPointers"`
	JQ       []string `json:"jqPathExpressions"`
	Managers []string `json:"managedFieldsManagers"`
}

type applicationSet struct {
	object `json:",inline"`
	Spec   struct {
		GoTemplate bool             `json:"goTemplate"`
		Options    []string         `json:"goTemplateOptions"`
		Generators []map[string]any `json:"generators"`
		Template   map[string]any   `json:"template"`
		Patch      string           `json:"templatePatch"`
		SyncPolicy any              `json:"syncPolicy"`
		Strategy   any              `json:"strategy"`
		Preserved  any              `json:"preservedFields"`
		IgnoreDiff any              `json:"ignoreApplicationDifferences"`
		Nested     any              `json:"applyNestedSelectors"`
	} `json:"spec"`
}

type clusterSecret struct {
	object     `json:",inline"`
	Type       string            `json:"type"`
	Data       map[string]string `json:"data"`
	StringData map[string]string `json:"stringData"`
}

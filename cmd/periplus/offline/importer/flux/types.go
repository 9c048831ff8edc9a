package flux

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The fields of Flux's objects that the importer understands; all others are reported. Those of type any are known and have
// nothing to translate: how often Flux looks, and how it retries.

type object struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Status any `json:"status"`
}

type reference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	Namespace  string `json:"namespace"`
}

type secretRef struct {
	Name string `json:"name"`
}

type commonMetadata struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

type kustomization struct {
	object `json:",inline"`
	Spec   struct {
		Path            string           `json:"path"`
		SourceRef       reference        `json:"sourceRef"`
		DependsOn       []dependency     `json:"dependsOn"`
		Patches         []map[string]any `json:"patches"`
		Images          []map[string]any `json:"images"`
		Components      []string         `json:"components"`
		NamePrefix      string           `json:"namePrefix"`
		NameSuffix      string           `json:"nameSuffix"`
		TargetNamespace string           `json:"targetNamespace"`
		CommonMetadata  *commonMetadata  `json:"commonMetadata"`
		PostBuild       *struct {
			Substitute     map[string]string `json:"substitute"`
			SubstituteFrom []struct {
				Kind     string `json:"kind"`
				Name     string `json:"name"`
				Optional bool   `json:"optional"`
			} `json:"substituteFrom"`
		} `json:"postBuild"`
		Decryption *struct {
			Provider  string     `json:"provider"`
			SecretRef *secretRef `json:"secretRef"`
		} `json:"decryption"`
		ServiceAccountName string           `json:"serviceAccountName"`
		KubeConfig         any              `json:"kubeConfig"`
		Prune              *bool            `json:"prune"`
		Wait               bool             `json:"wait"`
		Force              bool             `json:"force"`
		Suspend            bool             `json:"suspend"`
		Timeout            *metav1.Duration `json:"timeout"`
		HealthChecks       []any            `json:"healthChecks"`
		HealthCheckExprs   []any            `json:"healthCheckExprs"`
		DeletionPolicy     string           `json:"deletionPolicy"`
		Interval           any              `json:"interval"`
		RetryInterval      any              `json:"retryInterval"`
		Validation         any              `json:"validation"`
	} `json:"spec"`
}

type dependency struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	ReadyExpr string `json:"readyExpr"`
}

type helmRelease struct {
	object `json:",inline"`
	Spec   struct {
		Chart *struct {
			Metadata any `json:"metadata"`
			Spec     struct {
				Chart         string    `json:"chart"`
				Version       string    `json:"version"`
				SourceRef     reference `json:"sourceRef"`
				ValuesFiles   []string  `json:"valuesFiles"`
				IgnoreMissing bool      `json:"ignoreMissingValuesFiles"`
				Verify        any       `json:"verify"`
				Interval      any       `json:"interval"`
				Reconcile     any       `json:"reconcileStrategy"`
			} `json:"spec"`
		} `json:"chart"`
		ChartRef         *reference     `json:"chartRef"`
		ReleaseName      string         `json:"releaseName"`
		TargetNamespace  string         `json:"targetNamespace"`
		StorageNamespace string         `json:"storageNamespace"`
		Values           map[string]any `json:"values"`
		ValuesFrom       []struct {
			Kind       string `json:"kind"`
			Name       string `json:"name"`
			ValuesKey  string `json:"valuesKey"`
			TargetPath string `json:"targetPath"`
			Optional   bool   `json:"optional"`
		} `json:"valuesFrom"`
		DependsOn      []dependency    `json:"dependsOn"`
		PostRenderers  []postRenderer  `json:"postRenderers"`
		CommonMetadata *commonMetadata `json:"commonMetadata"`
		Install        *struct {
			CreateNamespace bool   `json:"createNamespace"`
			CRDs            string `json:"crds"`
			DisableHooks    bool   `json:"disableHooks"`
			Remediation     any    `json:"remediation"`
			Strategy        any    `json:"strategy"`
			Timeout         any    `json:"timeout"`
			Replace         any    `json:"replace"`
			DisableWait     any    `json:"disableWait"`
			TakeOwnership   any    `json:"disableTakeOwnership"`
		} `json:"install"`
		Upgrade *struct {
			CRDs          string `json:"crds"`
			DisableHooks  bool   `json:"disableHooks"`
			Remediation   any    `json:"remediation"`
			Strategy      any    `json:"strategy"`
			Timeout       any    `json:"timeout"`
			CleanupOnFail any    `json:"cleanupOnFail"`
			DisableWait   any    `json:"disableWait"`
			Force         bool   `json:"force"`
		} `json:"upgrade"`
		Test *struct {
			Enable         bool `json:"enable"`
			IgnoreFailures bool `json:"ignoreFailures"`
			Timeout        any  `json:"timeout"`
		} `json:"test"`
		DriftDetection *struct {
			Mode   string `json:"mode"`
			Ignore []struct {
				Paths  []string `json:"paths"`
				Target *struct {
					Group     string `json:"group"`
					Version   string `json:"version"`
					Kind      string `json:"kind"`
					Name      string `json:"name"`
					Namespace string `json:"namespace"`
				} `json:"target"`
			} `json:"ignore"`
		} `json:"driftDetection"`
		Suspend            bool             `json:"suspend"`
		Timeout            *metav1.Duration `json:"timeout"`
		ServiceAccountName string           `json:"serviceAccountName"`
		KubeConfig         any              `json:"kubeConfig"`
		Interval           any              `json:"interval"`
		MaxHistory         any              `json:"maxHistory"`
		Rollback           any              `json:"rollback"`
		Uninstall          any              `json:"uninstall"`
		PersistentClient   any              `json:"persistentClient"`
		PostRenderStrategy any              `json:"postRenderStrategy"`
	} `json:"spec"`
}

type postRenderer struct {
	Kustomize map[string]any `json:"kustomize"`
}

// source is any of Flux's sources.
type source struct {
	object `json:",inline"`
	Spec   struct {
		URL string `json:"url"`
		Ref *struct {
			Branch string `json:"branch"`
			Tag    string `json:"tag"`
			SemVer string `json:"semver"`
			Commit string `json:"commit"`
			Name   string `json:"name"`
			Digest string `json:"digest"`
			Filter string `json:"semverFilter"`
		} `json:"ref"`
		Type      string     `json:"type"`
		SecretRef *secretRef `json:"secretRef"`
		CertRef   *secretRef `json:"certSecretRef"`
		Insecure  bool       `json:"insecure"`
		Suspend   bool       `json:"suspend"`
		Ignore    *string    `json:"ignore"`
		Verify    any        `json:"verify"`
		Interval  any        `json:"interval"`
		Timeout   any        `json:"timeout"`
		Provider  any        `json:"provider"`
		Layer     any        `json:"layerSelector"`
	} `json:"spec"`
}

// artifactGenerator splits a repository into artifacts.
type artifactGenerator struct {
	object `json:",inline"`
	Spec   struct {
		Sources []struct {
			Alias     string `json:"alias"`
			Kind      string `json:"kind"`
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"sources"`
		Artifacts []struct {
			Name           string `json:"name"`
			OriginRevision string `json:"originRevision"`
			Revision       string `json:"revision"`
			Copy           []struct {
				From     string   `json:"from"`
				To       string   `json:"to"`
				Exclude  []string `json:"exclude"`
				Strategy string   `json:"strategy"`
			} `json:"copy"`
		} `json:"artifacts"`
	} `json:"spec"`
}

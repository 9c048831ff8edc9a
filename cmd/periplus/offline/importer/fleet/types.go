package fleet

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The fields of Rancher Fleet's files that the importer understands; all others are reported.

type object struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metadata `json:"metadata"`
}

type metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type gitRepo struct {
	object `json:",inline"`
	Spec   struct {
		Repo     string   `json:"repo"`
		Branch   string   `json:"branch"`
		Revision string   `json:"revision"`
		Paths    []string `json:"paths"`
		Bundles  []struct {
			Base    string `json:"base"`
			Options string `json:"options"`
		} `json:"bundles"`
		Targets          []target          `json:"targets"`
		TargetNamespace  string            `json:"targetNamespace"`
		ServiceAccount   string            `json:"serviceAccount"`
		Paused           bool              `json:"paused"`
		CorrectDrift     *correctDrift     `json:"correctDrift"`
		ClientSecretName string            `json:"clientSecretName"`
		HelmSecretName   string            `json:"helmSecretName"`
		PollingInterval  string            `json:"pollingInterval"`
		Labels           map[string]string `json:"labels"`
		KeepResources    *bool             `json:"keepResources"`
	} `json:"spec"`
}

type target struct {
	Name                 string                `json:"name"`
	ClusterName          string                `json:"clusterName"`
	ClusterSelector      *metav1.LabelSelector `json:"clusterSelector"`
	ClusterGroup         string                `json:"clusterGroup"`
	ClusterGroupSelector *metav1.LabelSelector `json:"clusterGroupSelector"`
}

type clusterGroup struct {
	object `json:",inline"`
	Spec   struct {
		Selector metav1.LabelSelector `json:"selector"`
	} `json:"spec"`
}

type cluster struct {
	object `json:",inline"`
	Spec   struct {
		TemplateValues map[string]any `json:"templateValues"`
		// How the cluster was registered does not matter: it joins anew.
		ClientID   string `json:"clientID"`
		KubeConfig string `json:"kubeConfigSecret"`
	} `json:"spec"`
}

type correctDrift struct {
	Enabled         bool  `json:"enabled"`
	Force           *bool `json:"force"`
	KeepFailHistory *bool `json:"keepFailHistory"`
}

// options stand in fleet.yaml and in each of its targetCustomizations.
type options struct {
	DefaultNamespace     string            `json:"defaultNamespace"`
	Namespace            string            `json:"namespace"`
	NamespaceLabels      map[string]string `json:"namespaceLabels"`
	NamespaceAnnotations map[string]string `json:"namespaceAnnotations"`
	ServiceAccount       string            `json:"serviceAccount"`
	Kustomize            *struct {
		Dir string `json:"dir"`
	} `json:"kustomize"`
	Helm *helmOptions `json:"helm"`
	YAML *struct {
		Overlays []string `json:"overlays"`
	} `json:"yaml"`
	Diff *struct {
		ComparePatches []comparePatch `json:"comparePatches"`
	} `json:"diff"`
	CorrectDrift    *correctDrift `json:"correctDrift"`
	KeepResources   *bool         `json:"keepResources"`
	DeleteNamespace *bool         `json:"deleteNamespace"`
	DeleteCRDs      *bool         `json:"deleteCRDResources"`
	Ignore          *struct {
		Conditions []map[string]any `json:"conditions"`
	} `json:"ignore"`
}

type helmOptions struct {
	Chart           string            `json:"chart"`
	Repo            string            `json:"repo"`
	Version         string            `json:"version"`
	ReleaseName     string            `json:"releaseName"`
	Values          map[string]any    `json:"values"`
	TemplateValues  map[string]string `json:"templateValues"`
	ValuesFiles     []string          `json:"valuesFiles"`
	ValuesFrom      []valuesFrom      `json:"valuesFrom"`
	Force           *bool             `json:"force"`
	TakeOwnership   *bool             `json:"takeOwnership"`
	MaxHistory      *int              `json:"maxHistory"`
	Atomic          *bool             `json:"atomic"`
	WaitForJobs     *bool             `json:"waitForJobs"`
	TimeoutSeconds  int               `json:"timeoutSeconds"`
	DisablePre      *bool             `json:"disablePreProcess"`
	DisableDNS      *bool             `json:"disableDNS"`
	SkipSchema      *bool             `json:"skipSchemaValidation"`
	DisableDepsLoad *bool             `json:"disableDependencyUpdate"`
}

type valuesFrom struct {
	ConfigMapKeyRef *keyRef `json:"configMapKeyRef"`
	SecretKeyRef    *keyRef `json:"secretKeyRef"`
}

type keyRef struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Key       string `json:"key"`
}

type comparePatch struct {
	APIVersion   string   `json:"apiVersion"`
	Kind         string   `json:"kind"`
	Name         string   `json:"name"`
	Namespace    string   `json:"namespace"`
	JSONPointers []string `json:"jsonPointers"`
	Operations   []struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	} `json:"operations"`
}

type fleetYAML struct {
	options         `json:",inline"`
	Name            string            `json:"name"`
	Labels          map[string]string `json:"labels"`
	Customizations  []customization   `json:"targetCustomizations"`
	CustomizeMode   string            `json:"targetCustomizationMode"`
	Targets         []customization   `json:"targets"`
	OverrideTargets json.RawMessage   `json:"overrideTargets"`
	DependsOn       []struct {
		Name           string                `json:"name"`
		Selector       *metav1.LabelSelector `json:"selector"`
		AcceptedStates []string              `json:"acceptedStates"`
	} `json:"dependsOn"`
	Paused          bool  `json:"paused"`
	RolloutStrategy any   `json:"rolloutStrategy"`
	ImageScans      []any `json:"imageScans"`
}

type customization struct {
	options     `json:",inline"`
	target      `json:",inline"`
	DoNotDeploy bool `json:"doNotDeploy"`
}

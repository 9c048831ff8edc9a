package target

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/target/expr"
)

// Cluster is what targeting and expressions see of a FleetCluster: declared facts only.
type Cluster struct {
	UID       string
	Namespace string
	Name      string
	Labels    map[string]string
	// Variables hold JSON values.
	Variables map[string]any
	// Version of Kubernetes as declared; "" where the declaration names none.
	Version string
	// Properties are those declared, and kubernetesVersion, provider and class where they are known.
	Properties map[string]string
	Taints     []v1alpha1.ClusterTaint
}

// ProviderJoined is the provider of clusters that no provider made.
const ProviderJoined = "joined"

// NewCluster takes over what targeting, values and policies see of a FleetCluster. The version is the declared one: a reported
// one would re-render at each step of an upgrade. provider is the kind of the infrastructure behind a provisioned cluster, ""
// where it is not known; joined clusters have none.
func NewCluster(cluster *v1alpha1.FleetCluster, provider string) (Cluster, error) {
	out := Cluster{UID: string(cluster.UID), Namespace: cluster.Namespace, Name: cluster.Name, Labels: cluster.Labels,
		Variables: map[string]any{}, Properties: maps.Clone(cluster.Spec.Properties), Taints: cluster.Spec.Taints}
	if out.Properties == nil {
		out.Properties = map[string]string{}
	}
	for name, raw := range cluster.Spec.Variables {
		var value any
		if err := json.Unmarshal(raw.Raw, &value); err != nil {
			return out, fmt.Errorf("cannot read variable %q of cluster %q: %w", name, cluster.Name, err)
		}
		out.Variables[name] = value
	}
	if cluster.Spec.Provision == nil {
		provider = ProviderJoined
	} else if topology := cluster.Spec.Provision.Topology; topology != nil {
		out.Version = topology.Version
		out.Properties[fleet.PropertyVersion] = topology.Version
		out.Properties[fleet.PropertyClass] = topology.ClassRef.Name
	}
	if provider != "" {
		out.Properties[fleet.PropertyProvider] = provider
	}
	return out, nil
}

// ProviderOfClass is the kind of the clusters that a ClusterClass makes, such as DockerCluster; "" where it does not say.
func ProviderOfClass(class *unstructured.Unstructured) string {
	kind, _, _ := unstructured.NestedString(class.Object, "spec", "infrastructure", "templateRef", "kind")
	return strings.TrimSuffix(kind, "Template")
}

// facts is the variable cluster of expressions.
func facts(cluster Cluster) map[string]any {
	variables, _ := whole(cluster.Variables).(map[string]any)
	if variables == nil {
		variables = map[string]any{}
	}
	taints := make([]any, 0, len(cluster.Taints))
	for _, taint := range cluster.Taints {
		taints = append(taints, map[string]any{"key": taint.Key, "value": taint.Value, "effect": string(taint.Effect)})
	}
	return map[string]any{"name": cluster.Name, "namespace": cluster.Namespace, "labels": orEmpty(cluster.Labels), "variables": variables,
		"version": cluster.Version, "properties": orEmpty(cluster.Properties), "taints": taints}
}

func orEmpty(given map[string]string) map[string]string {
	if given == nil {
		return map[string]string{}
	}
	return given
}

// whole turns whole floating-point numbers into integers: JSON knows no difference, and CEL does not add the two.
func whole(value any) any {
	switch typed := value.(type) {
	case float64:
		if typed == math.Trunc(typed) && math.Abs(typed) < 1<<53 {
			return int64(typed)
		}
	case []any:
		out := make([]any, len(typed))
		for i := range typed {
			out[i] = whole(typed[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(typed))
		for key := range typed {
			out[key] = whole(typed[key])
		}
		return out
	}
	return value
}

// Facts are those fields of a cluster that something reads, as expressions see them.
func Facts(cluster Cluster, reads expr.Reads) map[string]any {
	whole := facts(cluster)
	if reads.All {
		return whole
	}
	out := make(map[string]any, len(reads.Fields))
	for _, field := range reads.Fields {
		outer, key, inner := strings.Cut(field, ".")
		if !inner {
			out[field] = whole[outer]
			continue
		}
		// What is absent differs from what is empty.
		switch object := whole[outer].(type) {
		case map[string]string:
			if value, ok := object[key]; ok {
				out[field] = value
			}
		case map[string]any:
			if value, ok := object[key]; ok {
				out[field] = value
			}
		}
	}
	return out
}

package bootstrap

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Where the agent lives in every member.
const (
	Namespace      = "periplus-system"
	Release        = "periplus-agent"
	joinSecret     = "periplus-agent-join"
	identitySecret = "periplus-agent-identity"
)

// Hub is what every agent of this hub is told.
type Hub struct {
	// Endpoints (host:port) of the link, in order of preference.
	Endpoints []string
	// CAHash is "sha256:<hex>" of the public key of the hub's CA.
	CAHash string
	// ImageRepository and ImageTag of the agent; "" takes the chart's.
	ImageRepository string
	ImageTag        string
}

// valuesOf are the chart's values for one cluster: the hub's, with spec.agentValues merged over (maps merge, lists replace).
// The tenant of a cluster that we made for it may do everything there; in a cluster that someone else made nobody may do
// anything until spec.agentValues says so.
func valuesOf(hub Hub, cluster *v1alpha1.FleetCluster) (map[string]any, error) {
	endpoints := make([]any, 0, len(hub.Endpoints))
	for _, endpoint := range hub.Endpoints {
		endpoints = append(endpoints, endpoint)
	}
	image := map[string]any{}
	if hub.ImageRepository != "" {
		image["repository"] = hub.ImageRepository
	}
	if hub.ImageTag != "" {
		image["tag"] = hub.ImageTag
	}
	values := map[string]any{
		"image":   image,
		"hub":     map[string]any{"endpoints": endpoints, "caHash": hub.CAHash},
		"join":    map[string]any{"secretName": joinSecret},
		"tenants": []any{},
	}
	if cluster.Spec.Provision != nil && cluster.Spec.Provision.Topology != nil {
		values["tenants"] = []any{map[string]any{"namespace": cluster.Namespace, "clusterAdmin": true}}
	}
	if own := cluster.Spec.AgentValues; own != nil {
		var over map[string]any
		if err := json.Unmarshal(own.Raw, &over); err != nil {
			return nil, fmt.Errorf("cannot read spec.agentValues of FleetCluster %q: %w", cluster.Name, err)
		}
		merge(values, over)
	}
	return values, nil
}

// merge puts over into base: maps are merged, null takes a value away, anything else replaces.
func merge(base, over map[string]any) {
	for key, value := range over {
		below, isMap := base[key].(map[string]any)
		above, alsoMap := value.(map[string]any)
		switch {
		case value == nil:
			delete(base, key)
		case isMap && alsoMap:
			below = runtime.DeepCopyJSON(below)
			merge(below, above)
			base[key] = below
		default:
			base[key] = value
		}
	}
}

// digest names a chart version with its values, short enough for a label.
func digest(chartVersion string, values map[string]any) (string, error) {
	text, err := json.Marshal(values)
	if err != nil {
		return "", fmt.Errorf("cannot encode values of chart %q: %w", Release, err)
	}
	sum := sha256.Sum256(append([]byte(chartVersion+"\n"), text...))
	return hex.EncodeToString(sum[:16]), nil
}

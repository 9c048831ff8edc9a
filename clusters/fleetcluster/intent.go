package fleetcluster

import (
	"encoding/json"
	"fmt"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// FieldManager owns what this package writes to a Cluster and to a FleetCluster's status.
const FieldManager = "periplus-clusters"

const (
	// AnnotationOwner on a Cluster holds the UID of the FleetCluster that it was made for.
	AnnotationOwner = v1alpha1.Group + "/fleetcluster-uid"
	// annotationTopology holds the topology that was applied last: what it no longer names has to be taken back.
	annotationTopology = v1alpha1.Group + "/applied-topology"
)

// Policy is the deletion policy in force: as declared, else Delete where we provision and Orphan elsewhere.
func Policy(cluster *v1alpha1.FleetCluster) v1alpha1.DeletionPolicy {
	if policy := cluster.Spec.Deletion.Policy; policy != "" {
		return policy
	}
	if provisions(cluster) {
		return v1alpha1.DeletionDelete
	}
	return v1alpha1.DeletionOrphan
}

// Protected says whether the cluster's removal is refused: as declared, else where we provision.
func Protected(cluster *v1alpha1.FleetCluster) bool {
	if protected := cluster.Spec.Deletion.Protected; protected != nil {
		return *protected
	}
	return provisions(cluster)
}

// ClusterName is the name of the Cluster API Cluster behind the FleetCluster, "" where there is none.
func ClusterName(cluster *v1alpha1.FleetCluster) string {
	switch provision := cluster.Spec.Provision; {
	case provision == nil:
		return ""
	case provision.ClusterRef != nil:
		return provision.ClusterRef.Name
	default:
		return cluster.Name
	}
}

func provisions(cluster *v1alpha1.FleetCluster) bool {
	return cluster.Spec.Provision != nil && cluster.Spec.Provision.Topology != nil
}

// desired is the Cluster that the FleetCluster declares, with nothing that it does not declare.
func desired(cluster *v1alpha1.FleetCluster) (*unstructured.Unstructured, error) {
	text, err := json.Marshal(cluster.Spec.Provision.Topology)
	if err != nil {
		return nil, fmt.Errorf("cannot encode topology of FleetCluster %q: %w", cluster.Name, err)
	}
	var topology map[string]any
	if err := json.Unmarshal(text, &topology); err != nil {
		return nil, fmt.Errorf("cannot decode topology of FleetCluster %q: %w", cluster.Name, err)
	}
	out := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"topology": topology}}}
	out.SetGroupVersionKind(clusterv1.GroupVersion.WithKind("Cluster"))
	out.SetNamespace(cluster.Namespace)
	out.SetName(cluster.Name)
	out.SetAnnotations(map[string]string{AnnotationOwner: string(cluster.UID), annotationTopology: string(text)})
	return out, nil
}

// applied says whether the live Cluster is as want declares it, so that a reconcile without a change writes nothing.
// Fields that others set and we never named are theirs.
func applied(want *unstructured.Unstructured, live *clusterv1.Cluster) (bool, error) {
	for key, value := range want.GetAnnotations() {
		if live.Annotations[key] != value {
			return false, nil
		}
	}
	text, err := json.Marshal(live.Spec.Topology)
	if err != nil {
		return false, fmt.Errorf("cannot encode topology of Cluster %q: %w", live.Name, err)
	}
	var topology any
	if err := json.Unmarshal(text, &topology); err != nil {
		return false, fmt.Errorf("cannot decode topology of Cluster %q: %w", live.Name, err)
	}
	declared, _, _ := unstructured.NestedFieldNoCopy(want.Object, "spec", "topology")
	return covers(topology, declared), nil
}

// covers says whether have holds all that want says: maps may hold more, lists have the same length.
func covers(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		if !ok {
			return false
		}
		for key, value := range want {
			if other, found := have[key]; !found || !covers(other, value) {
				return false
			}
		}
		return true
	case []any:
		have, ok := have.([]any)
		if !ok || len(have) != len(want) {
			return false
		}
		for i := range want {
			if !covers(have[i], want[i]) {
				return false
			}
		}
		return true
	default:
		return have == want
	}
}

// mistake is what only a person can put right; it becomes the Stalled condition.
type mistake struct {
	reason  string
	message string
}

// ownership says whose the live Cluster (nil: there is none) is: nil when the FleetCluster may write it.
func ownership(cluster *v1alpha1.FleetCluster, live *clusterv1.Cluster) *mistake {
	if live == nil {
		return nil
	}
	switch owner := live.Annotations[AnnotationOwner]; owner {
	case string(cluster.UID):
		return nil
	case "":
		return &mistake{reason: ReasonClusterExists, message: fmt.Sprintf(
			"a Cluster API Cluster %q exists already and is not ours: adopt it with spec.provision.clusterRef, or choose another name", live.Name)}
	default:
		return &mistake{reason: ReasonClusterExists, message: fmt.Sprintf(
			"the Cluster API Cluster %q was made for an earlier FleetCluster of this name (uid %s): delete it, or take it over with `kubectl annotate clusters.cluster.x-k8s.io -n %s %s --overwrite %s=%s`",
			live.Name, owner, live.Namespace, live.Name, AnnotationOwner, cluster.UID)}
	}
}

// Package statusapply writes one writer's part of a FleetCluster's status. Several parts of the hub report there: Cluster
// API's state, the agent's installation, the link, the deliveries. Each applies its own fields and conditions server-side
// under its own field manager, so that none clobbers another's.
package statusapply

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Conditions carries the transition times of had over to want, and returns want sorted by type. A condition that did not
// change its status keeps its time.
func Conditions(had, want []metav1.Condition, generation int64, now metav1.Time) []metav1.Condition {
	out := make([]metav1.Condition, 0, len(want))
	for _, condition := range want {
		condition.ObservedGeneration = generation
		condition.LastTransitionTime = now
		if old := apimeta.FindStatusCondition(had, condition.Type); old != nil && old.Status == condition.Status {
			condition.LastTransitionTime = old.LastTransitionTime
		}
		out = append(out, condition)
	}
	slices.SortFunc(out, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })
	return out
}

// Apply makes status the whole of what manager says of the FleetCluster; what it said before and says no longer goes.
// The FleetCluster's UID guards against writing to another of the same name.
func Apply(ctx context.Context, c client.Client, cluster *v1alpha1.FleetCluster, manager string, status v1alpha1.FleetClusterStatus) error {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&status)
	if err != nil {
		return fmt.Errorf("cannot encode status of FleetCluster %q: %w", cluster.Name, err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(),
		"kind":       "FleetCluster",
		"metadata":   map[string]any{"namespace": cluster.Namespace, "name": cluster.Name, "uid": string(cluster.UID)},
		"status":     fields,
	}}
	if err := c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(manager), client.ForceOwnership); err != nil {
		return fmt.Errorf("cannot write status of FleetCluster %q: %w", cluster.Name, err)
	}
	return nil
}

package fleetcluster

import (
	"context"
	"fmt"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

// Drainer takes the bundles off a cluster that is being removed, by its deletion policy: removed with Delete, left as they
// are with Orphan. It is asked again and again until done; waiting says for a person what it waits for.
type Drainer interface {
	Drain(ctx context.Context, cluster *v1alpha1.FleetCluster) (done bool, waiting string, err error)
}

// Forgetter drops what the hub holds of a cluster that is gone: its certificates are revoked, then its rows go. It may be
// asked more than once.
type Forgetter interface {
	Forget(ctx context.Context, uid string) error
}

// protectedMistake is that of removing a cluster that is protected; the cluster goes on as if nobody had asked.
func protectedMistake(cluster *v1alpha1.FleetCluster) *mistake {
	return &mistake{reason: ReasonProtected, message: fmt.Sprintf(
		"the removal of %s is refused, since it is protected: set spec.deletion.protected to false in a commit of its own, then remove it", cluster.Name)}
}

// remove carries the removal one step on, in this order: bundles, Cluster, the hub's rows, the finalizer. Each step is
// finished before the next begins. waiting is "" when nothing is left to do.
func (r *Reconciler) remove(ctx context.Context, cluster *v1alpha1.FleetCluster, live *clusterv1.Cluster) (waiting string, err error) {
	done, waiting, err := r.drainer.Drain(ctx, cluster)
	if err != nil {
		return "", fmt.Errorf("cannot remove bundles from cluster %q: %w", cluster.Name, err)
	}
	if !done {
		return "bundles: " + waiting, nil
	}
	if live != nil && live.Annotations[AnnotationOwner] == string(cluster.UID) {
		waiting, err := r.removeMachines(ctx, cluster, live)
		if err != nil || waiting != "" {
			return waiting, err
		}
	}
	if err := r.forgetter.Forget(ctx, string(cluster.UID)); err != nil {
		return "", fmt.Errorf("cannot forget cluster %q: %w", cluster.Name, err)
	}
	before := cluster.DeepCopy()
	controllerutil.RemoveFinalizer(cluster, v1alpha1.FinalizerCluster)
	err = r.client.Patch(ctx, cluster, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner(FieldManager))
	if client.IgnoreNotFound(err) != nil {
		return "", fmt.Errorf("cannot release FleetCluster %q: %w", cluster.Name, err)
	}
	return "", nil
}

// removeMachines deletes the Cluster that we made, or leaves it to whoever finds it.
func (r *Reconciler) removeMachines(ctx context.Context, cluster *v1alpha1.FleetCluster, live *clusterv1.Cluster) (waiting string, err error) {
	if Policy(cluster) == v1alpha1.DeletionOrphan {
		before := live.DeepCopy()
		delete(live.Annotations, AnnotationOwner)
		delete(live.Annotations, annotationTopology)
		if err := r.client.Patch(ctx, live, client.MergeFrom(before), client.FieldOwner(FieldManager)); client.IgnoreNotFound(err) != nil {
			return "", fmt.Errorf("cannot let go of Cluster %q: %w", live.Name, err)
		}
		return "", nil
	}
	waiting = fmt.Sprintf("Cluster API deletes the Cluster %s", live.Name)
	if !live.DeletionTimestamp.IsZero() {
		return waiting, nil
	}
	err = r.client.Delete(ctx, live, client.Preconditions{UID: &live.UID})
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot delete Cluster %q: %w", live.Name, err)
	}
	return waiting, nil
}

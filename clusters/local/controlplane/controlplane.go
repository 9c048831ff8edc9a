// Package controlplane reconciles LocalControlPlanes: it keeps the cluster's keys and kubeconfig in Secrets, says to package
// member what the cluster's processes are to be, and reports what answers. A new version is reported only once it answers,
// as Cluster API upgrades workers after that.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util"
	"sigs.k8s.io/cluster-api/util/patch"
	"sigs.k8s.io/cluster-api/util/paused"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/periplus-fleet/periplus/clusters/local/member"
	"github.com/periplus-fleet/periplus/clusters/local/v1alpha1"
	"github.com/periplus-fleet/periplus/clusters/local/version"
)

// Members is what the reconciler needs of member.Set.
type Members interface {
	Want(member.Spec) (member.State, error)
	Remove(ctx context.Context, uid types.UID, cluster types.NamespacedName) error
}

// Reconciler of LocalControlPlanes.
type Reconciler struct {
	Client  client.Client
	Reader  client.Reader
	Members Members
	// Built is the version of the multi-call binary.
	Built string
	// Changed carries Clusters whose member changed by itself.
	Changed <-chan event.GenericEvent
}

const (
	removalPatience = time.Minute
	// Client certificates live a year; they are renewed well before.
	renewalCheck = 12 * time.Hour
)

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	toControlPlane := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) []ctrl.Request {
		cluster := &clusterv1.Cluster{}
		if err := mgr.GetClient().Get(ctx, client.ObjectKeyFromObject(object), cluster); err != nil {
			return nil
		}
		if ref := cluster.Spec.ControlPlaneRef; ref.Kind != "LocalControlPlane" || ref.APIGroup != v1alpha1.GroupVersion.Group {
			return nil
		}
		return []ctrl.Request{{NamespacedName: types.NamespacedName{Namespace: cluster.Namespace, Name: cluster.Spec.ControlPlaneRef.Name}}}
	})
	return ctrl.NewControllerManagedBy(mgr).Named("localcontrolplane").For(&v1alpha1.LocalControlPlane{}).
		Watches(&clusterv1.Cluster{}, toControlPlane).
		WatchesRawSource(source.Channel(r.Changed, toControlPlane)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 10}).Complete(r)
}

// Reconcile one LocalControlPlane.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (result ctrl.Result, err error) {
	plane := &v1alpha1.LocalControlPlane{}
	if err := r.Client.Get(ctx, request.NamespacedName, plane); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	cluster, err := util.GetOwnerCluster(ctx, r.Client, plane.ObjectMeta)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("cannot find the owner of LocalControlPlane %q: %w", plane.Name, err)
	}
	if cluster == nil {
		return ctrl.Result{}, nil
	}
	if isPaused, requeue, err := paused.EnsurePausedCondition(ctx, r.Client, cluster, plane); err != nil || isPaused || requeue {
		return ctrl.Result{}, err
	}
	helper, err := patch.NewHelper(plane, r.Client)
	if err != nil {
		return ctrl.Result{}, err
	}
	defer func() {
		if patchErr := helper.Patch(ctx, plane, ownedConditions); err == nil {
			err = client.IgnoreNotFound(patchErr)
		}
	}()
	if !plane.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.remove(ctx, cluster, plane)
	}
	if controllerutil.AddFinalizer(plane, v1alpha1.Finalizer) {
		// Stored before anything is started that it is to remove.
		return ctrl.Result{RequeueAfter: time.Millisecond}, nil
	}
	return r.ensure(ctx, cluster, plane)
}

// ensure brings the member to its spec and the status to what the member is.
func (r *Reconciler) ensure(ctx context.Context, cluster *clusterv1.Cluster, plane *v1alpha1.LocalControlPlane) (ctrl.Result, error) {
	if cluster.Spec.ControlPlaneEndpoint.Port == 0 {
		report(plane, observation{reason: ReasonNoEndpoint, message: "the Cluster has no control plane endpoint yet"})
		return ctrl.Result{}, nil
	}
	emulated, err := version.Choose(plane.Spec.Version, plane.Status.Version, r.Built)
	if errors.Is(err, version.ErrRefused) && plane.Status.Version == "" {
		report(plane, observation{reason: ReasonVersionRefused, message: err.Error()})
		return ctrl.Result{}, nil
	}
	var refused string
	if errors.Is(err, version.ErrRefused) {
		// The version that runs goes on running.
		refused = err.Error()
		emulated, err = version.Choose(plane.Status.Version, "", r.Built)
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("cannot choose the version of cluster %q: %w", cluster.Name, err)
	}
	keys, err := r.ensureKeys(ctx, cluster, plane)
	if err != nil {
		return ctrl.Result{}, err
	}
	state, err := r.Members.Want(member.Spec{UID: cluster.UID, Cluster: client.ObjectKeyFromObject(cluster), Emulated: emulated,
		Port: int(cluster.Spec.ControlPlaneEndpoint.Port), CA: keys.ca, ServiceAccounts: keys.serviceAccounts})
	if err != nil {
		report(plane, observation{reason: ReasonStarting, message: err.Error()})
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	report(plane, observe(state, emulated, refused))
	return ctrl.Result{RequeueAfter: renewalCheck}, nil
}

// remove ends the member and takes away what the provider made for it. The Secrets have the control plane as their owner
// too, but a management cluster may run without garbage collection, and keys of a cluster that is gone are a liability.
func (r *Reconciler) remove(ctx context.Context, cluster *clusterv1.Cluster, plane *v1alpha1.LocalControlPlane) error {
	ctx, cancel := context.WithTimeout(ctx, removalPatience)
	defer cancel()
	reportDeleting(plane)
	if err := r.Members.Remove(ctx, cluster.UID, client.ObjectKeyFromObject(cluster)); err != nil {
		return err
	}
	if err := r.removeSecrets(ctx, cluster, plane); err != nil {
		return err
	}
	controllerutil.RemoveFinalizer(plane, v1alpha1.Finalizer)
	return nil
}

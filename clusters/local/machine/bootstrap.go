package machine

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/cluster-api/util/patch"
	"sigs.k8s.io/cluster-api/util/paused"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"github.com/periplus-fleet/periplus/clusters/local/v1alpha1"
)

// BootstrapReconciler of LocalBootstraps.
type BootstrapReconciler struct{ Client client.Client }

// nothing is the bootstrap data of a machine that runs nothing.
const nothing = "# This machine is simulated: there is nothing to run.\n"

// SetupWithManager registers the reconciler.
func (r *BootstrapReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).Named("localbootstrap").For(&v1alpha1.LocalBootstrap{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: 10}).Complete(r)
}

// Reconcile one LocalBootstrap.
func (r *BootstrapReconciler) Reconcile(ctx context.Context, request ctrl.Request) (result ctrl.Result, err error) {
	local := &v1alpha1.LocalBootstrap{}
	if err := r.Client.Get(ctx, request.NamespacedName, local); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	machine, err := util.GetOwnerMachine(ctx, r.Client, local.ObjectMeta)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("cannot find the owner of LocalBootstrap %q: %w", local.Name, err)
	}
	if machine == nil || !local.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	cluster, err := util.GetClusterFromMetadata(ctx, r.Client, machine.ObjectMeta)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("cannot find the Cluster of LocalBootstrap %q: %w", local.Name, err)
	}
	if isPaused, requeue, err := paused.EnsurePausedCondition(ctx, r.Client, cluster, local); err != nil || isPaused || requeue {
		return ctrl.Result{}, err
	}
	helper, err := patch.NewHelper(local, r.Client)
	if err != nil {
		return ctrl.Result{}, err
	}
	defer func() {
		if patchErr := helper.Patch(ctx, local, patch.WithOwnedConditions{Conditions: []string{clusterv1.ReadyCondition}}); err == nil {
			err = client.IgnoreNotFound(patchErr)
		}
	}()
	if err := r.ensureData(ctx, cluster, local); err != nil {
		return ctrl.Result{}, err
	}
	local.Status.DataSecretName = local.Name
	local.Status.Initialization.DataSecretCreated = ptr.To(true)
	conditions.Set(local, metav1.Condition{Type: clusterv1.ReadyCondition, Status: metav1.ConditionTrue, Reason: clusterv1.ReadyReason})
	return ctrl.Result{}, nil
}

func (r *BootstrapReconciler) ensureData(ctx context.Context, cluster *clusterv1.Cluster, local *v1alpha1.LocalBootstrap) error {
	data := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: local.Namespace, Name: local.Name,
			Labels:          map[string]string{clusterv1.ClusterNameLabel: cluster.Name},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(local, v1alpha1.GroupVersion.WithKind("LocalBootstrap"))}},
		Type: clusterv1.ClusterSecretType, Data: map[string][]byte{"value": []byte(nothing), "format": []byte("local")},
	}
	if err := r.Client.Create(ctx, data); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("cannot keep bootstrap data %q: %w", data.Name, err)
	}
	return nil
}

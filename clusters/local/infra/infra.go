// Package infra reconciles LocalClusters: it gives each cluster a port on this machine, records it in the spec, and reports
// it as provisioned. Cluster API copies the endpoint to the Cluster, where the control plane reads it.
package infra

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

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
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/periplus-fleet/periplus/clusters/local/v1alpha1"
)

const (
	address = "127.0.0.1"
	// A full range may be emptied by others' deletion.
	fullRetry     = 10 * time.Second
	conflictRetry = 50 * time.Millisecond
)

// Reconciler of LocalClusters.
type Reconciler struct {
	Client client.Client
	// Reader sees what was written a moment ago: two clusters must not get one port.
	Reader client.Reader
	// Ports is the range for clusters that name none.
	Ports v1alpha1.PortRange

	choosing sync.Mutex
}

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	kind := v1alpha1.GroupVersion.WithKind("LocalCluster")
	return ctrl.NewControllerManagedBy(mgr).Named("localcluster").For(&v1alpha1.LocalCluster{}).
		Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(
			util.ClusterToInfrastructureMapFunc(ctx, kind, mgr.GetClient(), &v1alpha1.LocalCluster{}))).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}).Complete(r)
}

// Reconcile one LocalCluster. It owns nothing but its port, which is free again when the object is gone: no finalizer.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (result ctrl.Result, err error) {
	local := &v1alpha1.LocalCluster{}
	if err := r.Client.Get(ctx, request.NamespacedName, local); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	cluster, err := util.GetOwnerCluster(ctx, r.Client, local.ObjectMeta)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("cannot find the owner of LocalCluster %q: %w", local.Name, err)
	}
	if cluster == nil || !local.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	if isPaused, requeue, err := paused.EnsurePausedCondition(ctx, r.Client, cluster, local); err != nil || isPaused || requeue {
		return ctrl.Result{}, err
	}
	// The port is stored before the rest, so the object that the status is compared with is the one after.
	var noPort error
	if local.Spec.ControlPlaneEndpoint.Port == 0 {
		noPort = r.choose(ctx, local)
	}
	if apierrors.IsConflict(noPort) {
		return ctrl.Result{RequeueAfter: conflictRetry}, nil
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
	if noPort != nil {
		conditions.Set(local, metav1.Condition{Type: clusterv1.ReadyCondition, Status: metav1.ConditionFalse, Reason: "NoPort", Message: noPort.Error()})
		return ctrl.Result{RequeueAfter: fullRetry}, nil
	}
	local.Status.Initialization.Provisioned = ptr.To(true)
	conditions.Set(local, metav1.Condition{Type: clusterv1.ReadyCondition, Status: metav1.ConditionTrue, Reason: clusterv1.ReadyReason})
	return ctrl.Result{}, nil
}

// choose writes a port to the spec at once, under a lock, so that the next cluster sees it taken.
func (r *Reconciler) choose(ctx context.Context, local *v1alpha1.LocalCluster) error {
	r.choosing.Lock()
	defer r.choosing.Unlock()
	var all v1alpha1.LocalClusterList
	if err := r.Reader.List(ctx, &all); err != nil {
		return fmt.Errorf("cannot list LocalClusters: %w", err)
	}
	ports := local.Spec.Ports
	if ports.First == 0 {
		ports = r.Ports
	}
	port, err := Free(ports, taken(all.Items, client.ObjectKeyFromObject(local)), listens)
	if err != nil {
		return err
	}
	before := local.DeepCopy()
	local.Spec.Ports = ports
	local.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: address, Port: port}
	if err := r.Client.Patch(ctx, local, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		local.Spec = before.Spec
		return fmt.Errorf("cannot record port %d: %w", port, err)
	}
	return nil
}

func taken(clusters []v1alpha1.LocalCluster, but client.ObjectKey) map[int32]string {
	out := map[int32]string{}
	for i := range clusters {
		if key := client.ObjectKeyFromObject(&clusters[i]); key != but {
			out[clusters[i].Spec.ControlPlaneEndpoint.Port] = key.String()
		}
	}
	return out
}

// Free is the first port of the range that no cluster has and nothing listens on.
func Free(ports v1alpha1.PortRange, taken map[int32]string, busy func(port int32) bool) (int32, error) {
	for port := ports.First; port <= ports.Last; port++ {
		if _, ok := taken[port]; !ok && !busy(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port is free between %d and %d", ports.First, ports.Last)
}

func listens(port int32) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(int(port))))
	if err != nil {
		return true
	}
	_ = listener.Close()
	return false
}

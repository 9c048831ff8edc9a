// Package machine reconciles LocalMachines and LocalBootstraps: a machine is a Node in the member that package kwok keeps
// Ready; its bootstrap data says only that there is nothing to run. Machines with real kubelets would be another kind beside
// this one, with the same contract.
package machine

import (
	"context"
	"fmt"
	"runtime"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/cluster-api/util/patch"
	"sigs.k8s.io/cluster-api/util/paused"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/periplus-fleet/periplus/clusters/local/v1alpha1"
)

// Access gives a connection to the member behind a Cluster.
type Access func(cluster *clusterv1.Cluster) (*rest.Config, error)

// Reconciler of LocalMachines.
type Reconciler struct {
	Client client.Client
	Access Access
}

// The member may be restarting: its machines are made when it answers again.
const memberRetry = time.Second

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	ofCluster, err := util.ClusterToTypedObjectsMapper(mgr.GetClient(), &v1alpha1.LocalMachineList{}, mgr.GetScheme())
	if err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).Named("localmachine").For(&v1alpha1.LocalMachine{}).
		Watches(&clusterv1.Machine{}, handler.EnqueueRequestsFromMapFunc(util.MachineToInfrastructureMapFunc(v1alpha1.GroupVersion.WithKind("LocalMachine")))).
		Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(ofCluster)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 10}).Complete(r)
}

// Reconcile one LocalMachine.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (result ctrl.Result, err error) {
	local := &v1alpha1.LocalMachine{}
	if err := r.Client.Get(ctx, request.NamespacedName, local); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	machine, err := util.GetOwnerMachine(ctx, r.Client, local.ObjectMeta)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("cannot find the owner of LocalMachine %q: %w", local.Name, err)
	}
	if machine == nil {
		return ctrl.Result{}, nil
	}
	cluster, err := util.GetClusterFromMetadata(ctx, r.Client, machine.ObjectMeta)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("cannot find the Cluster of LocalMachine %q: %w", local.Name, err)
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
	if !local.DeletionTimestamp.IsZero() {
		return r.remove(ctx, cluster, machine, local)
	}
	if controllerutil.AddFinalizer(local, v1alpha1.Finalizer) {
		return ctrl.Result{RequeueAfter: time.Millisecond}, nil
	}
	return r.ensure(ctx, cluster, machine, local)
}

func (r *Reconciler) ensure(ctx context.Context, cluster *clusterv1.Cluster, machine *clusterv1.Machine, local *v1alpha1.LocalMachine) (ctrl.Result, error) {
	waiting := func(reason, message string) {
		conditions.Set(local, metav1.Condition{Type: clusterv1.ReadyCondition, Status: metav1.ConditionFalse, Reason: reason, Message: message})
	}
	switch {
	case !ptr.Deref(cluster.Status.Initialization.ControlPlaneInitialized, false):
		waiting("WaitingForControlPlane", "the control plane does not answer yet")
		return ctrl.Result{}, nil
	case machine.Spec.Bootstrap.DataSecretName == nil:
		waiting("WaitingForBootstrapData", "the Machine has no bootstrap data yet")
		return ctrl.Result{}, nil
	}
	config, err := r.Access(cluster)
	if err != nil {
		waiting("MemberUnreachable", "the cluster does not answer")
		return ctrl.Result{RequeueAfter: memberRetry}, nil
	}
	if err := ensureNode(ctx, config, Node(machine)); utilnet.IsConnectionRefused(err) {
		waiting("MemberUnreachable", "the cluster does not answer")
		return ctrl.Result{RequeueAfter: memberRetry}, nil
	} else if err != nil {
		return ctrl.Result{}, err
	}
	local.Spec.ProviderID = providerID(machine)
	local.Status.Initialization.Provisioned = ptr.To(true)
	local.Status.Addresses = []clusterv1.MachineAddress{{Type: clusterv1.MachineHostName, Address: machine.Name}, {Type: clusterv1.MachineInternalIP, Address: "127.0.0.1"}}
	conditions.Set(local, metav1.Condition{Type: clusterv1.ReadyCondition, Status: metav1.ConditionTrue, Reason: clusterv1.ReadyReason})
	return ctrl.Result{}, nil
}

// Node that stands for the machine.
func Node(machine *clusterv1.Machine) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: machine.Name,
			Labels: map[string]string{corev1.LabelHostname: machine.Name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: runtime.GOARCH},
			// Says to people and tools that the Node is simulated.
			Annotations: map[string]string{"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"}},
		Spec: corev1.NodeSpec{ProviderID: providerID(machine)},
		Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{KubeletVersion: machine.Spec.Version,
			OperatingSystem: "linux", Architecture: runtime.GOARCH}},
	}
}

func providerID(machine *clusterv1.Machine) string {
	return "local:///" + machine.Namespace + "/" + machine.Spec.ClusterName + "/" + machine.Name
}

func ensureNode(ctx context.Context, config *rest.Config, node *corev1.Node) error {
	member, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	created, err := member.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot make Node %q: %w", node.Name, err)
	}
	// A Node is created without its status.
	created.Status.NodeInfo = node.Status.NodeInfo
	if _, err := member.CoreV1().Nodes().UpdateStatus(ctx, created, metav1.UpdateOptions{}); err != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("cannot describe Node %q: %w", node.Name, err)
	}
	return nil
}

// remove deletes the Node, unless its whole cluster goes.
func (r *Reconciler) remove(ctx context.Context, cluster *clusterv1.Cluster, machine *clusterv1.Machine, local *v1alpha1.LocalMachine) (ctrl.Result, error) {
	if config, err := r.Access(cluster); err == nil && cluster.DeletionTimestamp.IsZero() {
		member, err := kubernetes.NewForConfig(config)
		if err == nil {
			err = member.CoreV1().Nodes().Delete(ctx, machine.Name, metav1.DeleteOptions{})
		}
		if client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, fmt.Errorf("cannot delete Node %q: %w", machine.Name, err)
		}
	} else if cluster.DeletionTimestamp.IsZero() {
		return ctrl.Result{RequeueAfter: memberRetry}, nil
	}
	controllerutil.RemoveFinalizer(local, v1alpha1.Finalizer)
	return ctrl.Result{}, nil
}

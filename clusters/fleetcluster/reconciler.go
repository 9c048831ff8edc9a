package fleetcluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/periplus-fleet/periplus/clusters/statusapply"
)

// How often a removal that waits on others is carried on, and a refusal that may depend on others is tried
// again: neither sends an event.
const (
	drainInterval   = time.Second
	refusedInterval = 30 * time.Second
)

// Config of a Reconciler.
type Config struct {
	Client client.Client
	// Reader reads past the client's cache: that a Cluster is not there is believed from it alone.
	Reader    client.Reader
	Drainer   Drainer
	Forgetter Forgetter
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Reconciler carries out FleetClusters.
type Reconciler struct {
	client    client.Client
	reader    client.Reader
	drainer   Drainer
	forgetter Forgetter
	now       func() time.Time

	// Clusters are watched from the first FleetCluster that has one: a fleet of joined clusters needs no Cluster API.
	watching   sync.Mutex
	watched    bool
	controller controller.Controller
	cache      cache.Cache
}

// New returns a Reconciler.
func New(cfg Config) *Reconciler {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Reconciler{client: cfg.Client, reader: cfg.Reader, drainer: cfg.Drainer, forgetter: cfg.Forgetter, now: cfg.Now}
}

// SetupWithManager makes the manager run the reconciler. The manager's scheme must know fleet.periplus.dev and
// cluster.x-k8s.io/v1beta2.
func (r *Reconciler) SetupWithManager(manager ctrl.Manager, workers int) error {
	built, err := ctrl.NewControllerManagedBy(manager).Named("fleetcluster").For(&v1alpha1.FleetCluster{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).Build(r)
	if err != nil {
		return fmt.Errorf("cannot set up controller %q: %w", "fleetcluster", err)
	}
	r.controller, r.cache = built, manager.GetCache()
	return nil
}

// Reconcile brings one FleetCluster to what it declares and writes how far that is.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	cluster := &v1alpha1.FleetCluster{}
	if err := r.client.Get(ctx, request.NamespacedName, cluster); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	seen := view{cluster: cluster, now: r.now()}
	var err error
	if seen.live, seen.mistake, err = r.load(ctx, cluster); err != nil {
		return ctrl.Result{}, err
	}
	removing := !cluster.DeletionTimestamp.IsZero()
	if removing && !controllerutil.ContainsFinalizer(cluster, v1alpha1.FinalizerCluster) {
		return ctrl.Result{}, nil
	}
	var result ctrl.Result
	switch {
	case removing && !Protected(cluster) && !blind(seen.mistake):
		seen.mistake = nil // nothing of it matters to a cluster that goes
		if seen.removing, err = r.remove(ctx, cluster, seen.live); err == nil && seen.removing == "" {
			return ctrl.Result{}, nil // the FleetCluster is gone
		}
		result.RequeueAfter = drainInterval
	default:
		if !removing {
			if err := r.hold(ctx, cluster); err != nil {
				return ctrl.Result{}, err
			}
		}
		if seen.mistake == nil {
			seen.live, seen.mistake, err = r.provision(ctx, cluster, seen.live)
		}
		if seen.mistake != nil {
			result.RequeueAfter = refusedInterval
		} else if wait := settling(seen.live, seen.now); wait > 0 {
			result.RequeueAfter = wait
		}
		if removing && seen.mistake == nil {
			seen.mistake = protectedMistake(cluster)
		}
	}
	if err != nil && seen.removing == "" && removing {
		seen.removing = "trying again after an error"
	}
	if err := errors.Join(err, r.report(ctx, seen)); err != nil {
		if apierrors.IsConflict(err) {
			return ctrl.Result{RequeueAfter: time.Second}, nil
		}
		return ctrl.Result{}, err
	}
	return result, nil
}

// load reads the Cluster behind the FleetCluster; also one that was made for it by a spec.provision that is gone.
func (r *Reconciler) load(ctx context.Context, cluster *v1alpha1.FleetCluster) (*clusterv1.Cluster, *mistake, error) {
	name := ClusterName(cluster)
	if name == "" {
		if apimeta.FindStatusCondition(cluster.Status.Conditions, v1alpha1.ConditionProvisioned) == nil {
			return nil, nil, nil // it never had one
		}
		name = cluster.Name
	}
	if err := r.watchClusters(); apimeta.IsNoMatchError(err) {
		return nil, &mistake{reason: ReasonClusterAPIMissing, message: "the hub's API has no clusters.cluster.x-k8s.io/v1beta2: install Cluster API there"}, nil
	} else if err != nil {
		return nil, nil, fmt.Errorf("cannot watch Clusters: %w", err)
	}
	live := &clusterv1.Cluster{}
	key := types.NamespacedName{Namespace: cluster.Namespace, Name: name}
	err := r.client.Get(ctx, key, live)
	if apierrors.IsNotFound(err) {
		err = r.reader.Get(ctx, key, live)
	}
	if apierrors.IsNotFound(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read Cluster %q: %w", name, err)
	}
	if cluster.Spec.Provision == nil {
		if live.Annotations[AnnotationOwner] != string(cluster.UID) {
			return nil, nil, nil
		}
		return live, &mistake{reason: ReasonProvisionRemoved, message: "spec.provision is gone, and the Cluster that was made for it is kept: put spec.provision back, or remove the FleetCluster"}, nil
	}
	return live, nil, nil
}

// blind says that Clusters cannot be read at all. Then a removal must wait: a Cluster that we cannot see is not gone.
func blind(m *mistake) bool {
	return m != nil && m.reason == ReasonClusterAPIMissing
}

// hold sets the finalizer before anything is made that it guards.
func (r *Reconciler) hold(ctx context.Context, cluster *v1alpha1.FleetCluster) error {
	before := cluster.DeepCopy()
	if !controllerutil.AddFinalizer(cluster, v1alpha1.FinalizerCluster) {
		return nil
	}
	if err := r.client.Patch(ctx, cluster, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner(FieldManager)); err != nil {
		return fmt.Errorf("cannot set finalizer of FleetCluster %q: %w", cluster.Name, err)
	}
	return nil
}

// provision applies the topology where one is declared, and returns the Cluster as it is now.
func (r *Reconciler) provision(ctx context.Context, cluster *v1alpha1.FleetCluster, live *clusterv1.Cluster) (*clusterv1.Cluster, *mistake, error) {
	if !provisions(cluster) {
		return live, nil, nil
	}
	if mistake := ownership(cluster, live); mistake != nil {
		return nil, mistake, nil
	}
	want, err := desired(cluster)
	if err != nil {
		return live, nil, err
	}
	if live != nil {
		if same, err := applied(want, live); err != nil || same {
			return live, nil, err
		}
	}
	err = r.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(want), client.FieldOwner(FieldManager), client.ForceOwnership)
	if refused(err) {
		return live, &mistake{reason: ReasonTopologyRefused, message: err.Error()}, nil
	}
	if err != nil {
		return live, nil, fmt.Errorf("cannot apply Cluster %q: %w", cluster.Name, err)
	}
	return live, nil, nil
}

// refused says whether the API server refused what is declared, by schema or by an admission webhook of Cluster API, so
// that the same request would be refused again.
func refused(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) ||
		apierrors.IsForbidden(err) && strings.Contains(err.Error(), "admission webhook")
}

// report writes the status if it says something new.
func (r *Reconciler) report(ctx context.Context, seen view) error {
	status := statusOf(seen)
	if equality.Semantic.DeepEqual(status, ours(seen.cluster)) {
		return nil
	}
	return statusapply.Apply(ctx, r.client, seen.cluster, FieldManager, status)
}

// ours is the part of the status in force that this package wrote.
func ours(cluster *v1alpha1.FleetCluster) v1alpha1.FleetClusterStatus {
	had := cluster.Status
	status := v1alpha1.FleetClusterStatus{ObservedGeneration: had.ObservedGeneration}
	for _, condition := range had.Conditions {
		switch condition.Type {
		case v1alpha1.ConditionProvisioned:
			status.Version, status.Endpoint, status.ControlPlane, status.Workers = had.Version, had.Endpoint, had.ControlPlane, had.Workers
			fallthrough
		case v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled:
			status.Conditions = append(status.Conditions, condition)
		}
	}
	slices.SortFunc(status.Conditions, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })
	return status
}

// watchClusters starts the watch on Clusters, once.
func (r *Reconciler) watchClusters() error {
	r.watching.Lock()
	defer r.watching.Unlock()
	if r.watched || r.controller == nil {
		return nil
	}
	if _, err := r.client.RESTMapper().RESTMapping(clusterv1.GroupVersion.WithKind("Cluster").GroupKind(), clusterv1.GroupVersion.Version); err != nil {
		return err
	}
	err := r.controller.Watch(source.Kind(r.cache, &clusterv1.Cluster{}, handler.TypedEnqueueRequestsFromMapFunc(r.fleetClustersOf)))
	r.watched = err == nil
	return err
}

// fleetClustersOf names the FleetClusters that a Cluster stands behind: that of its name, and those that refer to it.
func (r *Reconciler) fleetClustersOf(ctx context.Context, live *clusterv1.Cluster) []ctrl.Request {
	requests := []ctrl.Request{{NamespacedName: client.ObjectKeyFromObject(live)}}
	var list v1alpha1.FleetClusterList
	if err := r.client.List(ctx, &list, client.InNamespace(live.Namespace)); err != nil {
		return requests
	}
	for i := range list.Items {
		if cluster := &list.Items[i]; cluster.Name != live.Name && ClusterName(cluster) == live.Name {
			requests = append(requests, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(cluster)})
		}
	}
	return requests
}

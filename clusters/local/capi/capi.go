// Package capi embeds Cluster API's core in this process: its reconcilers with ClusterClass and topology, and its admission
// webhooks. It turns Clusters into the objects of the local provider and gathers their state; without it a machine would
// have to run cluster-api-controller-manager and cert-manager beside the hub.
//
// Runtime extensions, MachinePools and cluster resource sets are left out: the local provider has nothing for them.
package capi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	addonsv1beta1 "sigs.k8s.io/cluster-api/api/addons/v1beta1"
	addonsv1 "sigs.k8s.io/cluster-api/api/addons/v1beta2"
	clusterv1beta1 "sigs.k8s.io/cluster-api/api/core/v1beta1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	runtimev1alpha1 "sigs.k8s.io/cluster-api/api/runtime/v1alpha1"
	runtimev1 "sigs.k8s.io/cluster-api/api/runtime/v1beta2"
	"sigs.k8s.io/cluster-api/controllers/clustercache"
	"sigs.k8s.io/cluster-api/core/reconcilers/cluster"
	"sigs.k8s.io/cluster-api/core/reconcilers/clusterclass"
	"sigs.k8s.io/cluster-api/core/reconcilers/machine"
	"sigs.k8s.io/cluster-api/core/reconcilers/machinedeployment"
	"sigs.k8s.io/cluster-api/core/reconcilers/machinehealthcheck"
	"sigs.k8s.io/cluster-api/core/reconcilers/machineset"
	topologycluster "sigs.k8s.io/cluster-api/core/reconcilers/topology/cluster"
	topologymachinedeployment "sigs.k8s.io/cluster-api/core/reconcilers/topology/machinedeployment"
	topologymachineset "sigs.k8s.io/cluster-api/core/reconcilers/topology/machineset"
	"sigs.k8s.io/cluster-api/core/setup"
	"sigs.k8s.io/cluster-api/core/webhooks/admission"
	"sigs.k8s.io/cluster-api/core/webhooks/conversion"
	"sigs.k8s.io/cluster-api/feature"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/cluster-api/util/contract"
	"sigs.k8s.io/cluster-api/util/index"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
)

const (
	name = "periplus-cluster-api"
	// SyncPeriod is how often everything is looked at again without a cause.
	SyncPeriod = 10 * time.Minute
	// How long a member may be out of reach before the Cluster's condition says so.
	connectionGrace = 50 * time.Second
	conditionsGrace = 5 * time.Minute
	workers         = 10
)

// gates are Cluster API's own process-wide switches: they can be set once, before anything asks for them.
var gates = sync.OnceValue(func() error {
	return feature.MutableGates.Set("ClusterTopology=true,MachinePool=false,RuntimeSDK=false")
})

// AddToScheme registers what the core reads and writes. Versions that are not served are needed too: the core's webhooks
// know how to convert them.
func AddToScheme(scheme *runtime.Scheme) error {
	var all error
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, storagev1.AddToScheme,
		clusterv1beta1.AddToScheme, clusterv1.AddToScheme, addonsv1beta1.AddToScheme, addonsv1.AddToScheme,
		runtimev1alpha1.AddToScheme, runtimev1.AddToScheme} {
		all = errors.Join(all, add(scheme))
	}
	return all
}

// CacheOptions and ClientOptions of the manager: of Secrets, only those of clusters are kept in memory.
func CacheOptions(scheme *runtime.Scheme) cache.Options {
	return setup.ManagerCacheOptions(scheme, name, "", SyncPeriod)
}

// ClientOptions of the manager.
func ClientOptions() client.Options { return setup.ManagerClientOptions() }

// Setup adds the core's reconcilers and webhooks to the manager.
func Setup(ctx context.Context, mgr ctrl.Manager) (clustercache.ClusterCache, error) {
	if err := gates(); err != nil {
		return nil, fmt.Errorf("cannot set Cluster API's feature gates: %w", err)
	}
	if err := index.AddDefaultIndexes(ctx, mgr); err != nil {
		return nil, fmt.Errorf("cannot index Cluster API's objects: %w", err)
	}
	members, err := clusterCache(ctx, mgr)
	if err != nil {
		return nil, fmt.Errorf("cannot set up the connections to members: %w", err)
	}
	if err := reconcilers(ctx, mgr, members); err != nil {
		return nil, err
	}
	return members, webhooks(mgr, members)
}

func clusterCache(ctx context.Context, mgr ctrl.Manager) (clustercache.ClusterCache, error) {
	secrets, err := setup.CreateSecretCachingClient(mgr)
	if err != nil {
		return nil, err
	}
	return clustercache.SetupWithManager(ctx, mgr, clustercache.Options{
		SecretClient:  secrets,
		Cache:         setup.ClusterCacheCacheOptions(),
		Client:        setup.ClusterCacheClientOptions(name, 20, 30),
		ClusterFilter: connectable,
	}, options())
}

// connectable says whether the cluster's API server answers. A connect that fails is tried again only after 30 s, so none is
// tried before it answers, nor while it restarts for an upgrade or because the provider did: the connection is dropped
// then, and made anew at once when the control plane is available again.
func connectable(cluster *clusterv1.Cluster) bool {
	return conditions.IsTrue(cluster, clusterv1.ClusterControlPlaneInitializedCondition) &&
		!conditions.IsFalse(cluster, clusterv1.ClusterControlPlaneAvailableCondition)
}

func options() controller.Options { return controller.Options{MaxConcurrentReconciles: workers} }

func reconcilers(ctx context.Context, mgr ctrl.Manager, members clustercache.ClusterCache) error {
	c, reader := mgr.GetClient(), mgr.GetAPIReader()
	type reconciler interface {
		SetupWithManager(context.Context, ctrl.Manager, controller.Options) error
	}
	for _, r := range []reconciler{
		&clusterclass.Reconciler{Client: c},
		&topologycluster.Reconciler{Client: c, APIReader: reader, ClusterCache: members},
		&topologymachinedeployment.Reconciler{Client: c, APIReader: reader},
		&topologymachineset.Reconciler{Client: c, APIReader: reader},
		&cluster.Reconciler{Client: c, APIReader: reader, ClusterCache: members, RemoteConnectionGracePeriod: connectionGrace},
		&machine.Reconciler{Client: c, APIReader: reader, ClusterCache: members, RemoteConditionsGracePeriod: conditionsGrace},
		&machineset.Reconciler{Client: c, APIReader: reader, ClusterCache: members,
			PreflightChecks: sets.New(clusterv1.MachineSetPreflightCheckAll)},
		&machinedeployment.Reconciler{Client: c, APIReader: reader},
		&machinehealthcheck.Reconciler{Client: c, ClusterCache: members},
	} {
		if err := r.SetupWithManager(ctx, mgr, options()); err != nil {
			return fmt.Errorf("cannot set up Cluster API's %T: %w", r, err)
		}
	}
	return nil
}

func webhooks(mgr ctrl.Manager, members clustercache.ClusterCache) error {
	conversion.SetAPIVersionGetter(apiVersion(mgr.GetClient()))
	type webhook interface {
		SetupWebhookWithManager(ctrl.Manager) error
	}
	for _, w := range []webhook{
		&admission.ClusterClass{Client: mgr.GetClient()},
		&admission.Cluster{Client: mgr.GetClient(), ClusterCacheReader: members},
		&admission.Machine{}, &admission.MachineSet{}, &admission.MachineDeployment{}, &admission.MachineDrainRule{},
		&admission.MachineHealthCheck{},
	} {
		if err := w.SetupWebhookWithManager(mgr); err != nil {
			return fmt.Errorf("cannot set up Cluster API's webhook %T: %w", w, err)
		}
	}
	return nil
}

// apiVersion says which version of a provider's kind keeps the contract: its CRD's label says so, the last one counts.
func apiVersion(c client.Client) func(context.Context, schema.GroupKind) (string, error) {
	return func(ctx context.Context, kind schema.GroupKind) (string, error) {
		crd := &metav1.PartialObjectMetadata{}
		crd.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
		if err := c.Get(ctx, client.ObjectKey{Name: contract.CalculateCRDName(kind.Group, kind.Kind)}, crd); err != nil {
			return "", fmt.Errorf("cannot find the version of %s: %w", kind, err)
		}
		version, err := contractVersion(crd.Labels)
		if err != nil {
			return "", fmt.Errorf("cannot find the version of %s: %w", kind, err)
		}
		return schema.GroupVersion{Group: kind.Group, Version: version}.String(), nil
	}
}

package fleetcluster_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/clusters/fleetcluster"
	"github.com/periplus-fleet/periplus/clusters/statusapply"
	"github.com/periplus-fleet/periplus/e2e/testenv"
)

// steps is the hub's side of a removal: it drains when told to and writes down the order of things.
type steps struct {
	mu      sync.Mutex
	drained bool
	log     []string
	after   func() string
}

func (s *steps) note(step string) {
	if !slices.Contains(s.log, step) {
		s.log = append(s.log, step)
	}
}

func (s *steps) Drain(context.Context, *v1alpha1.FleetCluster) (bool, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.drained {
		s.note("asked to drain")
		return false, "2 of 3 left", nil
	}
	s.note("drained")
	return true, "", nil
}

func (s *steps) Forget(context.Context, string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note("forgotten while " + s.after())
	return nil
}

func (s *steps) drainNow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drained = true
}

func (s *steps) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

type world struct {
	client.Client
	t         *testing.T
	namespace string
	steps     *steps
}

// start runs the reconciler against a real API server that has our CRDs and Cluster API's, and nobody who acts on the latter.
func start(t *testing.T) *world {
	t.Helper()
	env := testenv.Start(t)
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/cluster-api").Output()
	if err != nil {
		t.Fatalf("cannot find Cluster API's CRDs: %v", err)
	}
	_, err = envtest.InstallCRDs(env.Config, envtest.CRDInstallOptions{ErrorIfPathMissing: true, Paths: []string{
		filepath.Join(root, "api/crds"),
		filepath.Join(strings.TrimSpace(string(module)), "core/config/crd/bases/cluster.x-k8s.io_clusters.yaml")}})
	if err != nil {
		t.Fatalf("cannot install CRDs: %v", err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, clusterv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	again := true
	manager, err := ctrl.NewManager(env.Config, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: &again}})
	if err != nil {
		t.Fatal(err)
	}
	direct, err := client.New(env.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Client: direct, t: t, namespace: env.Namespace(t), steps: &steps{after: func() string { return "" }}}
	reconciler := fleetcluster.New(fleetcluster.Config{Client: manager.GetClient(), Reader: manager.GetAPIReader(), Drainer: w.steps, Forgetter: w.steps})
	if err := reconciler.SetupWithManager(manager, 2); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- manager.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

// eventually polls until check returns "".
func (w *world) eventually(what string, check func() string) {
	w.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		why := check()
		if why == "" {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: %s", what, why)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (w *world) make(name string, spec v1alpha1.FleetClusterSpec) *v1alpha1.FleetCluster {
	w.t.Helper()
	cluster := &v1alpha1.FleetCluster{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}, Spec: spec}
	if err := w.Create(w.t.Context(), cluster); err != nil {
		w.t.Fatal(err)
	}
	return cluster
}

// get reads into object, and says why it cannot.
func (w *world) get(name string, object client.Object) string {
	if err := w.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, object); err != nil {
		return err.Error()
	}
	return ""
}

// condition waits until the FleetCluster has the condition with status and reason.
func (w *world) condition(name, kind string, status metav1.ConditionStatus, reason string) *v1alpha1.FleetCluster {
	w.t.Helper()
	cluster := &v1alpha1.FleetCluster{}
	w.eventually(fmt.Sprintf("%s of %s is %s %s", kind, name, status, reason), func() string {
		if why := w.get(name, cluster); why != "" {
			return why
		}
		got := apimeta.FindStatusCondition(cluster.Status.Conditions, kind)
		if got == nil || got.Status != status || got.Reason != reason {
			return fmt.Sprintf("conditions are %+v", cluster.Status.Conditions)
		}
		return ""
	})
	return cluster
}

// capi plays Cluster API: it changes a Cluster's status.
func (w *world) capi(name string, change func(*clusterv1.Cluster)) {
	w.t.Helper()
	w.eventually("Cluster API reports on "+name, func() string {
		live := &clusterv1.Cluster{}
		if why := w.get(name, live); why != "" {
			return why
		}
		change(live)
		if err := w.Status().Update(w.t.Context(), live); err != nil {
			return err.Error()
		}
		return ""
	})
}

func topology(version string) *v1alpha1.Provision {
	return &v1alpha1.Provision{Topology: &clusterv1.Topology{ClassRef: clusterv1.ClusterClassRef{Name: "standard"}, Version: version}}
}

func available(live *clusterv1.Cluster) {
	apimeta.SetStatusCondition(&live.Status.Conditions, metav1.Condition{Type: "Available", Status: metav1.ConditionTrue, Reason: "Available"})
	one := int32(1)
	live.Status.ControlPlane = &clusterv1.ClusterControlPlaneStatus{DesiredReplicas: &one, ReadyReplicas: &one,
		Versions: []clusterv1.StatusVersion{{Version: "v1.36.3", Replicas: 1}}}
}

func TestLifeOfAProvisionedCluster(t *testing.T) {
	w := start(t)
	made := w.make("eu-1", v1alpha1.FleetClusterSpec{Provision: topology("v1.36.3")})
	live := &clusterv1.Cluster{}
	w.eventually("the Cluster is made", func() string { return w.get("eu-1", live) })
	if got := live.Annotations[fleetcluster.AnnotationOwner]; got != string(made.UID) {
		t.Errorf("the Cluster says that it is of %q, want the FleetCluster's UID", got)
	}
	if len(live.OwnerReferences) != 0 {
		t.Error("the Cluster has an owner reference: the garbage collector would delete machines when a FleetCluster is lost")
	}
	w.condition("eu-1", v1alpha1.ConditionProvisioned, metav1.ConditionFalse, fleetcluster.ReasonClusterCreating)

	w.capi("eu-1", available)
	cluster := w.condition("eu-1", v1alpha1.ConditionProvisioned, metav1.ConditionTrue, "Available")
	if diff := cmp.Diff(&v1alpha1.ReplicaCount{Desired: 1, Ready: 1}, cluster.Status.ControlPlane); diff != "" || cluster.Status.Version != "v1.36.3" {
		t.Errorf("version %q, replicas (-want +got):\n%s", cluster.Status.Version, diff)
	}

	// The link writes its condition by another hand; neither clobbers the other.
	connected := statusapply.Conditions(nil, []metav1.Condition{{Type: v1alpha1.ConditionConnected, Status: metav1.ConditionTrue, Reason: "Connected"}}, 1, metav1.Now())
	if err := statusapply.Apply(t.Context(), w, cluster, "link", v1alpha1.FleetClusterStatus{AgentVersion: "v1", Conditions: connected}); err != nil {
		t.Fatal(err)
	}
	cluster = w.condition("eu-1", v1alpha1.ConditionReady, metav1.ConditionTrue, fleetcluster.ReasonReady)
	if cluster.Status.AgentVersion != "v1" || cluster.Status.Version != "v1.36.3" || !apimeta.IsStatusConditionTrue(cluster.Status.Conditions, v1alpha1.ConditionConnected) {
		t.Errorf("one writer took another's part away: %+v", cluster.Status)
	}

	// A hand edit of the Cluster is put back.
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(live), live); err != nil {
		t.Fatal(err)
	}
	live.Spec.Topology.Version = "v1.35.0"
	if err := w.Update(t.Context(), live); err != nil {
		t.Fatal(err)
	}
	w.eventually("the version is put back", func() string {
		if why := w.get("eu-1", live); why != "" || live.Spec.Topology.Version == "v1.36.3" {
			return why
		}
		return "it is " + live.Spec.Topology.Version
	})

	// Removal is refused while protected, which is the default where we provision.
	if err := w.Delete(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	w.condition("eu-1", v1alpha1.ConditionStalled, metav1.ConditionTrue, fleetcluster.ReasonProtected)
	if got := w.steps.seen(); len(got) != 0 {
		t.Fatalf("a protected cluster's removal began: %v", got)
	}

	// Unprotected, it goes in order: bundles, machines, the hub's rows, the FleetCluster.
	w.steps.mu.Lock()
	w.steps.after = func() string {
		if err := w.Get(context.Background(), client.ObjectKeyFromObject(live), &clusterv1.Cluster{}); apierrors.IsNotFound(err) {
			return "the machines are gone"
		}
		return "the machines are there"
	}
	w.steps.mu.Unlock()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"deletion":{"protected":false}}}`))
	if err := w.Patch(t.Context(), cluster, patch); err != nil {
		t.Fatal(err)
	}
	removing := w.condition("eu-1", v1alpha1.ConditionReady, metav1.ConditionFalse, fleetcluster.ReasonRemoving)
	if message := apimeta.FindStatusCondition(removing.Status.Conditions, v1alpha1.ConditionReady).Message; message != "bundles: 2 of 3 left" {
		t.Errorf("the removal waits for %q", message)
	}
	if why := w.get("eu-1", live); why != "" {
		t.Fatalf("the machines went before the bundles: %s", why)
	}
	w.steps.drainNow()
	w.eventually("the FleetCluster is gone", func() string {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(cluster), &v1alpha1.FleetCluster{}); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("%v %v", err, w.steps.seen())
		}
		return ""
	})
	if diff := cmp.Diff([]string{"asked to drain", "drained", "forgotten while the machines are gone"}, w.steps.seen()); diff != "" {
		t.Errorf("order of the removal (-want +got):\n%s", diff)
	}
}

func TestOthersClustersAreLeftAlone(t *testing.T) {
	w := start(t)
	w.steps.drainNow()
	no := false
	theirs := func(name string) *clusterv1.Cluster {
		live := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
			Spec: clusterv1.ClusterSpec{Topology: *topology("v1.35.0").Topology}}
		if err := w.Create(t.Context(), live); err != nil {
			t.Fatal(err)
		}
		return live
	}
	unchanged := func(live *clusterv1.Cluster) {
		t.Helper()
		now := &clusterv1.Cluster{}
		if why := w.get(live.Name, now); why != "" {
			t.Fatal(why)
		}
		if now.UID != live.UID || now.Generation != live.Generation || !now.DeletionTimestamp.IsZero() || len(now.Annotations) != 0 {
			t.Errorf("Cluster %q was touched: %+v", live.Name, now.ObjectMeta)
		}
	}

	foreign := theirs("foreign")
	w.make("foreign", v1alpha1.FleetClusterSpec{Provision: topology("v1.36.3"), Deletion: v1alpha1.Deletion{Protected: &no}})
	cluster := w.condition("foreign", v1alpha1.ConditionStalled, metav1.ConditionTrue, fleetcluster.ReasonClusterExists)
	unchanged(foreign)
	w.remove(cluster)
	unchanged(foreign)

	adopted := theirs("theirs")
	w.make("adopted", v1alpha1.FleetClusterSpec{Provision: &v1alpha1.Provision{ClusterRef: &corev1.LocalObjectReference{Name: "theirs"}},
		Deletion: v1alpha1.Deletion{Policy: v1alpha1.DeletionDelete}})
	w.capi("theirs", available)
	cluster = w.condition("adopted", v1alpha1.ConditionProvisioned, metav1.ConditionTrue, "Available")
	w.remove(cluster)
	unchanged(adopted)
}

func TestOrphanLeavesTheMachines(t *testing.T) {
	w := start(t)
	w.steps.drainNow()
	no := false
	w.make("eu-2", v1alpha1.FleetClusterSpec{Provision: topology("v1.36.3"), Deletion: v1alpha1.Deletion{Policy: v1alpha1.DeletionOrphan, Protected: &no}})
	cluster := w.condition("eu-2", v1alpha1.ConditionProvisioned, metav1.ConditionFalse, fleetcluster.ReasonClusterCreating)
	w.remove(cluster)
	live := &clusterv1.Cluster{}
	if why := w.get("eu-2", live); why != "" || !live.DeletionTimestamp.IsZero() {
		t.Fatalf("the machines went with the FleetCluster: %s", why)
	}
	if owner, owned := live.Annotations[fleetcluster.AnnotationOwner]; owned {
		t.Errorf("the Cluster still says that it is of %s", owner)
	}
}

func (w *world) remove(cluster *v1alpha1.FleetCluster) {
	w.t.Helper()
	if err := w.Delete(w.t.Context(), cluster); err != nil {
		w.t.Fatal(err)
	}
	w.eventually("FleetCluster "+cluster.Name+" is gone", func() string {
		if err := w.Get(w.t.Context(), client.ObjectKeyFromObject(cluster), &v1alpha1.FleetCluster{}); !apierrors.IsNotFound(err) {
			return fmt.Sprint(err)
		}
		return ""
	})
}

package bootstrap

import (
	"context"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/charts"
	"github.com/periplus-fleet/periplus/clusters/fleetcluster"
	"github.com/periplus-fleet/periplus/clusters/statusapply"
)

// FieldManager owns the AgentInstalled condition.
const FieldManager = "periplus-bootstrap"

// Reasons of the AgentInstalled condition.
const (
	ReasonInstalled         = "Installed"
	ReasonWaitingForCluster = "WaitingForCluster"
	ReasonUnreachable       = "Unreachable"
	ReasonBadValues         = "BadValues"
	ReasonBadKubeconfig     = "BadKubeconfig"
	ReasonFailed            = "InstallFailed"
)

// How often a cluster without a connected agent is looked at, and one that is not up yet.
const (
	watchInterval = 30 * time.Second
	startInterval = time.Second
)

// Tokens issues join tokens. A token is for one agent of this cluster, and may replace the identity of an earlier one.
type Tokens interface {
	Issue(ctx context.Context, cluster *v1alpha1.FleetCluster) (token string, err error)
}

// Config of a Reconciler.
type Config struct {
	Client client.Client
	// Reader reads kubeconfig Secrets past the cache, so that the hub never holds all Secrets.
	Reader client.Reader
	Tokens Tokens
	Hub    Hub
	// TokenLife is how long an issued token can be used. Default 30 minutes.
	TokenLife time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Reconciler installs agents.
type Reconciler struct {
	cfg   Config
	chart *chart.Chart

	// installed remembers which installation was seen in which cluster in this life of the process: while the agent is
	// connected and nothing changed, the member's API is left alone.
	mu        sync.Mutex
	installed map[types.UID]string
}

// New returns a Reconciler.
func New(cfg Config) (*Reconciler, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.TokenLife == 0 {
		cfg.TokenLife = 30 * time.Minute
	}
	agent, err := loadChart(charts.Agent())
	if err != nil {
		return nil, err
	}
	return &Reconciler{cfg: cfg, chart: agent, installed: map[types.UID]string{}}, nil
}

func loadChart(files fs.FS) (*chart.Chart, error) {
	var buffered []*archive.BufferedFile
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, name)
		buffered = append(buffered, &archive.BufferedFile{Name: name, Data: data})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read chart %q: %w", Release, err)
	}
	agent, err := loader.LoadFiles(buffered)
	if err != nil {
		return nil, fmt.Errorf("cannot load chart %q: %w", Release, err)
	}
	return agent, nil
}

// SetupWithManager makes the manager run the reconciler.
func (r *Reconciler) SetupWithManager(manager ctrl.Manager, workers int) error {
	err := ctrl.NewControllerManagedBy(manager).Named("bootstrap").For(&v1alpha1.FleetCluster{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).Complete(r)
	if err != nil {
		return fmt.Errorf("cannot set up controller %q: %w", "bootstrap", err)
	}
	return nil
}

// outcome is what the AgentInstalled condition says, and when to look again (0: at the next event).
type outcome struct {
	reason  string
	message string
	again   time.Duration
}

// Reconcile sees to one cluster's agent.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	cluster := &v1alpha1.FleetCluster{}
	if err := r.cfg.Client.Get(ctx, request.NamespacedName, cluster); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if cluster.Spec.Provision == nil || !cluster.DeletionTimestamp.IsZero() && !fleetcluster.Protected(cluster) {
		r.forget(cluster.UID)
		return ctrl.Result{}, nil
	}
	done, err := r.install(ctx, cluster)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.report(ctx, cluster, done); err != nil {
		if apierrors.IsConflict(err) {
			return ctrl.Result{RequeueAfter: time.Second}, nil
		}
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: done.again}, nil
}

// install brings the agent in if it is not there. What goes wrong in the member is an outcome; only what goes wrong on the
// hub is an error.
func (r *Reconciler) install(ctx context.Context, cluster *v1alpha1.FleetCluster) (outcome, error) {
	values, err := valuesOf(r.cfg.Hub, cluster)
	if err != nil {
		return outcome{reason: ReasonBadValues, message: err.Error()}, nil
	}
	want, err := digest(r.chart.Metadata.Version, values)
	if err != nil {
		return outcome{}, err
	}
	if r.seen(cluster.UID) == want && apimeta.IsStatusConditionTrue(cluster.Status.Conditions, v1alpha1.ConditionConnected) {
		return outcome{reason: ReasonInstalled}, nil
	}
	kubeconfig, err := r.kubeconfig(ctx, cluster)
	if err != nil {
		return outcome{}, err
	}
	if kubeconfig == nil {
		return outcome{reason: ReasonWaitingForCluster, message: "Cluster API has not made the kubeconfig Secret yet", again: startInterval}, nil
	}
	to, err := connect(cluster.Name, kubeconfig)
	if err != nil {
		return outcome{reason: ReasonBadKubeconfig, message: err.Error(), again: watchInterval}, nil
	}
	there, err := to.look(ctx)
	if err != nil {
		again := startInterval
		if r.seen(cluster.UID) != "" {
			again = watchInterval
		}
		return outcome{reason: ReasonUnreachable, message: err.Error(), again: again}, nil
	}
	do, needsToken := decide(there, want, r.cfg.Now(), r.cfg.TokenLife)
	if needsToken {
		token, err := r.cfg.Tokens.Issue(ctx, cluster)
		if err != nil {
			return outcome{}, fmt.Errorf("cannot issue a join token for cluster %q: %w", cluster.Name, err)
		}
		if err := to.putToken(ctx, token, r.cfg.Now()); err != nil {
			return outcome{reason: ReasonFailed, message: err.Error(), again: startInterval}, nil
		}
	}
	if err := to.carryOut(ctx, do, r.chart, values, want); err != nil {
		return outcome{reason: ReasonFailed, message: err.Error(), again: watchInterval}, nil
	}
	r.remember(cluster.UID, want)
	if do != leave {
		ctrl.LoggerFrom(ctx).Info("agent installed", "verb", string(do), "newToken", needsToken)
	}
	return outcome{reason: ReasonInstalled, again: watchInterval}, nil
}

// kubeconfig is nil while Cluster API has not written it.
func (r *Reconciler) kubeconfig(ctx context.Context, cluster *v1alpha1.FleetCluster) ([]byte, error) {
	name := fleetcluster.ClusterName(cluster) + "-kubeconfig"
	var secret corev1.Secret
	err := r.cfg.Reader.Get(ctx, types.NamespacedName{Namespace: cluster.Namespace, Name: name}, &secret)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read Secret %q: %w", name, err)
	}
	return secret.Data["value"], nil
}

// report writes the AgentInstalled condition if it says something new.
func (r *Reconciler) report(ctx context.Context, cluster *v1alpha1.FleetCluster, done outcome) error {
	condition := metav1.Condition{Type: v1alpha1.ConditionAgentInstalled, Status: metav1.ConditionFalse, Reason: done.reason, Message: done.message}
	if done.reason == ReasonInstalled {
		condition.Status = metav1.ConditionTrue
	}
	old := apimeta.FindStatusCondition(cluster.Status.Conditions, condition.Type)
	if done.reason == ReasonUnreachable && old != nil && old.Status == metav1.ConditionTrue {
		return nil // it is installed, and we cannot look: the link says whether it lives
	}
	conditions := statusapply.Conditions(cluster.Status.Conditions, []metav1.Condition{condition}, cluster.Generation, metav1.NewTime(r.cfg.Now()))
	if old != nil && equality.Semantic.DeepEqual(*old, conditions[0]) {
		return nil
	}
	return statusapply.Apply(ctx, r.cfg.Client, cluster, FieldManager, v1alpha1.FleetClusterStatus{Conditions: conditions})
}

func (r *Reconciler) seen(uid types.UID) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.installed[uid]
}

func (r *Reconciler) remember(uid types.UID, digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.installed[uid] = digest
}

func (r *Reconciler) forget(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.installed, uid)
}

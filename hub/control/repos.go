package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	ctrlsource "sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/fleet/apply"
	"github.com/periplus-fleet/periplus/hub/source"
)

const (
	intervalMin     = time.Second
	intervalDefault = time.Minute
	// retryMax bounds the back-off of a repository that cannot be fetched.
	retryFirst = 2 * time.Second
	retryMax   = 5 * time.Minute
	refusedMax = 50
	// applyAgain is how soon what the hub's API should hold is applied again, though the commit is the same.
	applyAgain = 5 * time.Minute
)

// repoState is one FleetRepo as this process knows it.
type repoState struct {
	snapshot *fleet.Snapshot
	spec     source.Spec
	failures int
	// planned is the commit whose plan stands in the store: the one in force.
	planned string
	// taken is when the snapshot was last applied to the hub's API.
	taken time.Time
	// refs are the other refs of the repository that bundles' targets name.
	refs map[string]refTree
	// webhook is the HMAC secret of the push webhook; nil where there is none.
	webhook []byte
}

// registerRepos reconciles FleetRepos: fetch, read, apply to the hub's API, then plan.
func (c *Controller) registerRepos(mgr manager.Manager) error {
	// A status that this reconciler writes itself must not wake it.
	asked := predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})
	return ctrl.NewControllerManagedBy(mgr).Named("fleetrepo").For(&v1alpha1.FleetRepo{}, builder.WithPredicates(asked)).
		WatchesRawSource(ctrlsource.Channel(c.pokes, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		Complete(reconcile.Func(c.reconcileRepo))
}

func (c *Controller) reconcileRepo(ctx context.Context, request reconcile.Request) (result reconcile.Result, err error) {
	if !c.Ready() {
		return reconcile.Result{RequeueAfter: 200 * time.Millisecond}, nil
	}
	var repo v1alpha1.FleetRepo
	if err := c.client.Get(ctx, request.NamespacedName, &repo); err != nil {
		// A FleetRepo that is gone freezes what it declared: absence is never a cause.
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	before := repo.DeepCopy()
	asked := repo.Annotations[v1alpha1.AnnotationSync]
	state := c.repoState(request.NamespacedName)
	wait, err := c.readRepo(ctx, &repo, state)
	repo.Status.ObservedGeneration = repo.Generation
	repo.Status.LastSync = asked
	c.mu.Lock()
	if state.planned != "" {
		repo.Status.Commit = state.planned
	}
	c.mu.Unlock()
	setRepoConditions(&repo, state, err)
	if patchErr := c.patchRepoStatus(ctx, before, &repo); patchErr != nil {
		return reconcile.Result{}, patchErr
	}
	return reconcile.Result{RequeueAfter: wait}, nil
}

// patchRepoStatus writes the status where more than the time of the fetch changed, or that is older than an interval.
func (c *Controller) patchRepoStatus(ctx context.Context, before, after *v1alpha1.FleetRepo) error {
	comparable := after.DeepCopy()
	comparable.Status.LastFetch = before.Status.LastFetch
	recent := before.Status.LastFetch != nil && after.Status.LastFetch != nil && after.Status.LastFetch.Sub(before.Status.LastFetch.Time) < time.Minute
	if recent && equality.Semantic.DeepEqual(before.Status, comparable.Status) {
		return nil
	}
	err := c.client.Status().Patch(ctx, after, client.MergeFrom(before))
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// readRepo brings the repo's snapshot up to date and says when to look again. The error is one that a person or time must mend.
func (c *Controller) readRepo(ctx context.Context, repo *v1alpha1.FleetRepo, state *repoState) (time.Duration, error) {
	interval := repo.Spec.Interval.Duration
	if interval == 0 {
		interval = intervalDefault
	}
	interval = max(interval, intervalMin)
	key := repo.Namespace + "/" + repo.Name
	if repo.Spec.Suspend && state.snapshot != nil {
		return interval, nil
	}
	commit, err := c.fetch(ctx, repo, key, state)
	if err != nil {
		state.failures++
		backoff := min(retryFirst<<min(state.failures-1, 10), retryMax)
		if state.snapshot == nil {
			// The remote is away at a start: what the last fetch left on disk is still what Git declared.
			if last, ok := c.cfg.Source.LastFetched(key, repo.Spec.Ref); ok {
				return backoff, errors.Join(err, c.takeCommit(ctx, repo, key, state, last))
			}
		}
		return backoff, err
	}
	state.failures = 0
	now := metav1.Now()
	repo.Status.LastFetch, repo.Status.FetchedCommit = &now, commit
	if err := c.appendOnly(repo, key, state, commit); err != nil {
		return interval, err
	}
	if state.snapshot != nil && state.snapshot.Commit == commit && len(state.snapshot.Refused) == 0 && time.Since(state.taken) < applyAgain {
		if refs, moved := c.resolveRefs(ctx, key, state, state.snapshot); moved {
			c.mu.Lock()
			state.refs = refs
			c.mu.Unlock()
			c.Replan(repo.Namespace)
		}
		return interval, nil
	}
	return interval, c.takeCommit(ctx, repo, key, state, commit)
}

func (c *Controller) fetch(ctx context.Context, repo *v1alpha1.FleetRepo, key string, state *repoState) (string, error) {
	spec := source.Spec{URL: repo.Spec.URL, Ref: repo.Spec.Ref}
	var webhook []byte
	if ref := repo.Spec.SecretRef; ref != nil {
		var secret corev1.Secret
		if err := c.client.Get(ctx, client.ObjectKey{Namespace: repo.Namespace, Name: ref.Name}, &secret); err != nil {
			return "", fmt.Errorf("cannot read secret %q of spec.secretRef: %w", ref.Name, err)
		}
		auth, err := source.AuthFromSecret(secret.Data)
		if err != nil {
			return "", fmt.Errorf("cannot use secret %q of spec.secretRef: %w", ref.Name, err)
		}
		spec.Auth, spec.CA, webhook = auth, secret.Data["ca.crt"], secret.Data["webhook-secret"]
	}
	c.mu.Lock()
	state.spec, state.webhook = spec, webhook
	c.mu.Unlock()
	commit, _, err := c.cfg.Source.Fetch(ctx, key, spec)
	return commit, err
}

// appendOnly refuses a commit that does not descend from the one in force.
func (c *Controller) appendOnly(repo *v1alpha1.FleetRepo, key string, state *repoState, commit string) error {
	inForce := repo.Status.Commit
	if state.snapshot != nil {
		inForce = state.snapshot.Commit
	}
	if repo.Spec.History == v1alpha1.HistoryAny || inForce == "" || inForce == commit || repo.Spec.Ref.Commit != "" {
		return nil
	}
	descends, err := c.cfg.Source.Descends(key, inForce, commit)
	if err != nil {
		return err
	}
	if !descends {
		return &refusedCommit{fmt.Sprintf("history was rewritten: commit %.12s does not descend from %.12s, which stays in force; "+
			"push a commit on top of it, or set spec.history: Any", commit, inForce)}
	}
	return nil
}

// refusedCommit is a commit that is not taken over as a whole.
type refusedCommit struct{ message string }

func (e *refusedCommit) Error() string { return e.message }

// takeCommit reads a commit, applies what of it lives in the hub's API, and lets the namespace be planned.
func (c *Controller) takeCommit(ctx context.Context, repo *v1alpha1.FleetRepo, key string, state *repoState, commit string) error {
	before := state.snapshot
	tree, err := c.cfg.Source.Open(key, commit)
	if err != nil {
		return err
	}
	snapshot, err := c.read(ctx, repo, key, state, tree)
	if err != nil {
		return err
	}
	account := repo.Spec.ServiceAccountName
	if account == "" {
		account = "periplus-fleet"
	}
	// Policies decide on the clusters of the very commit that brings them.
	policies := c.compilePolicies(repo.Namespace, key, snapshot)
	applied, err := c.cfg.Applier.Apply(ctx, apply.Input{Repo: client.ObjectKeyFromObject(repo), ServiceAccount: account, Snapshot: snapshot,
		Judge: judgeDeclarations(policies, repo.Namespace, commit)})
	if err != nil {
		return err
	}
	snapshot.Refused = append(snapshot.Refused, applied.Refused...)
	refs, _ := c.resolveRefs(ctx, key, state, snapshot)
	c.mu.Lock()
	state.snapshot, state.refs, state.taken = snapshot, refs, time.Now()
	c.mu.Unlock()
	repo.Status.Clusters, repo.Status.Bundles = int32(len(snapshot.Clusters)), int32(len(snapshot.Bundles))
	if before == nil || before.Commit != commit {
		c.cfg.Log.Info("commit in force", "repo", key, "commit", commit, "bundles", len(snapshot.Bundles), "refused", len(snapshot.Refused))
	}
	c.Replan(repo.Namespace)
	return nil
}

// setRepoConditions says in the status what is in force and what is refused.
func setRepoConditions(repo *v1alpha1.FleetRepo, state *repoState, err error) {
	status := &repo.Status
	if state.snapshot != nil {
		refused := state.snapshot.Refused
		status.RefusedCount = int32(len(refused))
		status.Refused = refused[:min(len(refused), refusedMax)]
	}
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "InForce", ObservedGeneration: repo.Generation,
		Message: fmt.Sprintf("commit %.12s is in force", status.Commit)}
	stalled := metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionFalse, Reason: "NotStalled", ObservedGeneration: repo.Generation}
	var refusedWhole *refusedCommit
	switch {
	case errors.As(err, &refusedWhole):
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "CommitRefused", err.Error()
		stalled.Status, stalled.Reason, stalled.Message = metav1.ConditionTrue, "CommitRefused", err.Error()
	case errors.Is(err, source.ErrAuth):
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "AuthenticationFailed", err.Error()
	case errors.Is(err, source.ErrNotFound):
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "NotFound", err.Error()
	case err != nil:
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "FetchFailed", err.Error()
	case repo.Spec.Suspend:
		ready.Message += "; reading is suspended"
	case status.RefusedCount > 0:
		first := status.Refused[0]
		ready.Status, ready.Reason = metav1.ConditionFalse, "PartlyRefused"
		ready.Message = fmt.Sprintf("%d refused, what they declared before stays: %s", status.RefusedCount, fleet.Describe(first))
		stalled.Status, stalled.Reason, stalled.Message = metav1.ConditionTrue, "PartlyRefused", ready.Message
	}
	meta.SetStatusCondition(&status.Conditions, ready)
	meta.SetStatusCondition(&status.Conditions, stalled)
}

// putInForce notes that the plan of these commits stands, shows it in the projections, and only then in the FleetRepos: who
// waits for a commit must not see what was ready before it.
func (c *Controller) putInForce(ctx context.Context, namespace string, planned map[string]string) error {
	var changed []client.ObjectKey
	c.mu.Lock()
	for key, state := range c.repos {
		if commit := planned[key.String()]; key.Namespace == namespace && commit != "" && state.planned != commit {
			state.planned = commit
			changed = append(changed, key)
		}
	}
	c.mu.Unlock()
	if len(changed) == 0 {
		return nil
	}
	err := c.writeNamespace(ctx, namespace)
	for _, key := range changed {
		select {
		case c.pokes <- event.GenericEvent{Object: &v1alpha1.FleetRepo{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}}:
		case <-ctx.Done():
		}
	}
	return err
}

func (c *Controller) repoState(key client.ObjectKey) *repoState {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.repos[key] == nil {
		c.repos[key] = &repoState{}
	}
	return c.repos[key]
}

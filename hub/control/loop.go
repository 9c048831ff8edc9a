package control

import (
	"context"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/identity"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/target"
)

// planRetry is how soon a plan that failed as a whole (store or API away) is tried again; suspensions and exemptions that
// end by the clock are noticed as late as planRefresh.
const (
	planRetry   = 2 * time.Second
	planRefresh = 30 * time.Second
)

// registerClusters replans a namespace when one of its FleetClusters changes.
func (c *Controller) registerClusters(mgr manager.Manager) error {
	declared := predicate.Or(predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{})
	return ctrl.NewControllerManagedBy(mgr).Named("fleetcluster-plan").For(&v1alpha1.FleetCluster{}, builder.WithPredicates(declared)).
		Complete(reconcile.Func(func(_ context.Context, request reconcile.Request) (reconcile.Result, error) {
			c.Replan(request.Namespace)
			return reconcile.Result{}, nil
		}))
}

// planLoop plans dirty namespaces one after the other: one goroutine owns the planners.
func (c *Controller) planLoop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
		case <-time.After(planRefresh):
			for _, namespace := range c.namespaces() {
				c.Replan(namespace)
			}
		}
		for _, namespace := range c.takeDirty() {
			if err := c.planNamespace(ctx, namespace); err != nil && ctx.Err() == nil {
				c.cfg.Log.Warn("cannot plan", "namespace", namespace, "error", err)
				time.AfterFunc(planRetry, func() { c.Replan(namespace) })
			}
		}
	}
}

// planNamespace brings the namespace's deliveries to what its repos declare. A namespace of which some repo was not read
// since the start is left as it is: what is unknown must not look removed.
func (c *Controller) planNamespace(ctx context.Context, namespace string) error {
	declared, ok, err := c.declared(ctx, namespace)
	if !ok || err != nil {
		return err
	}
	in, err := c.gather(ctx, namespace, declared)
	if err != nil {
		return err
	}
	p := c.planner[namespace]
	if p == nil {
		p = &planner{resolver: c.cfg.Resolver, renderer: c.cfg.Renderer, gate: c.cfg.Gate, store: c.cfg.Store, outcomes: map[pair]outcome{}}
		c.planner[namespace] = p
	}
	changes, err := p.plan(ctx, in)
	if err != nil {
		return err
	}
	if len(changes) > 0 {
		if err := c.cfg.Store.Apply(ctx, c.Term(), changes); err != nil {
			return err
		}
		c.cfg.Log.Info("planned", "namespace", namespace, "changes", len(changes), "commit", in.Commit)
	}
	c.mu.Lock()
	c.planned[namespace] = declared
	c.mu.Unlock()
	if err := c.forgetConfirmed(ctx, in); err != nil {
		return err
	}
	for key := range in.Gone {
		if !stillDelivered(in, key) {
			if err := c.cfg.Store.RemoveBundle(ctx, c.Term(), key); err != nil {
				return err
			}
		}
	}
	if err := c.finishRelearns(ctx, namespace, p); err != nil {
		return err
	}
	planned := map[string]string{}
	for repo, snapshot := range declared.snapshots {
		planned[repo] = snapshot.Commit
	}
	return c.putInForce(ctx, namespace, planned)
}

// forgetConfirmed drops a person's words once the removals that they released are tombstones, so that they release nothing
// that comes later. While a cluster is relearned its removals still wait, and so do the words.
func (c *Controller) forgetConfirmed(ctx context.Context, in planInput) error {
	if len(in.Relearning) > 0 {
		return nil
	}
	for cause := range in.Confirmed {
		if err := c.cfg.Store.ForgetWord(ctx, in.Namespace, store.WordConfirm, cause); err != nil {
			return err
		}
	}
	return nil
}

func stillDelivered(in planInput, key delivery.Key) bool {
	for k := range in.Deliveries {
		if k.bundle == key {
			return true
		}
	}
	return false
}

// gather reads what a plan depends on besides Git: clusters, deliveries, bundles in force, a person's words.
func (c *Controller) gather(ctx context.Context, namespace string, declared declaration) (planInput, error) {
	in := planInput{Namespace: namespace, Bundles: declared.bundles, Groups: declared.groups, Policies: declared.policies,
		Commit: declared.commit(), Gone: map[delivery.Key]delivery.Cause{}, Relearning: map[string]bool{},
		Deliveries: map[pair]delivery.Delivery{}, Confirmed: map[string]bool{}, Now: time.Now()}
	if err := c.gatherClusters(ctx, &in); err != nil {
		return in, err
	}
	deliveries, err := c.cfg.Store.Deliveries(ctx, store.DeliveryFilter{Namespace: namespace})
	if err != nil {
		return in, err
	}
	for _, d := range deliveries {
		in.Deliveries[pair{d.ClusterUID, d.Bundle}] = d
	}
	for repo, snapshot := range declared.snapshots {
		bundles, err := c.cfg.Store.Bundles(ctx, repo)
		if err != nil {
			return in, err
		}
		for _, bundle := range bundles {
			if !declared.has(bundle.Key) && !snapshot.Frozen.Objects[fleet.ObjectKey("Bundle", bundleName(bundle.Key))] {
				in.Gone[bundle.Key] = delivery.Cause{Kind: "commit", Ref: snapshot.Commit,
					Message: fmt.Sprintf("commit %.12s no longer declares bundle %s (%s)", snapshot.Commit, bundle.Key, bundle.Path)}
			}
		}
	}
	words, err := c.cfg.Store.Words(ctx, namespace, store.WordConfirm)
	if err != nil {
		return in, err
	}
	for subject := range words {
		in.Confirmed[subject] = true
	}
	bundles, err := declared.rows()
	if err != nil {
		return in, err
	}
	return in, c.cfg.Store.PutBundles(ctx, c.Term(), bundles)
}

func (c *Controller) gatherClusters(ctx context.Context, in *planInput) error {
	var list v1alpha1.FleetClusterList
	if err := c.client.List(ctx, &list, client.InNamespace(in.Namespace)); err != nil {
		return err
	}
	var rows []delivery.Cluster
	for i := range list.Items {
		cluster := &list.Items[i]
		if cluster.DeletionTimestamp != nil {
			continue
		}
		rows = append(rows, delivery.Cluster{UID: string(cluster.UID), Namespace: cluster.Namespace, Name: cluster.Name, Labels: cluster.Labels})
		facts, err := target.NewCluster(cluster, "")
		if err != nil {
			return err
		}
		in.Clusters = append(in.Clusters, facts)
	}
	if err := c.cfg.Store.UpsertClusters(ctx, c.Term(), rows); err != nil {
		return err
	}
	known, err := c.cfg.Store.Clusters(ctx, in.Namespace)
	if err != nil {
		return err
	}
	for _, row := range known {
		if row.Relearn {
			in.Relearning[row.UID] = true
		}
	}
	return nil
}

// CurrentCluster is the identity service's view of a FleetCluster; nil where there is none.
func (c *Controller) CurrentCluster(ctx context.Context, namespace, name string) (*identity.Current, error) {
	var cluster v1alpha1.FleetCluster
	if err := c.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &cluster); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	current := &identity.Current{Namespace: namespace, Name: name, UID: string(cluster.UID)}
	if cluster.Spec.Identity.NotBefore != nil {
		current.NotBefore = cluster.Spec.Identity.NotBefore.Time
	}
	return current, nil
}

package control

import (
	"context"
	"fmt"
	"maps"
	"slices"
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

// planRetry is how soon a plan that failed as a whole (store or API away) is tried again; suspensions that end by the clock are
// noticed as late as planRefresh, exemptions and whatever an event was missed for as late as planAll.
const (
	planRetry   = 2 * time.Second
	planRefresh = 30 * time.Second
	planAll     = 10 * time.Minute
)

// registerClusters plans a FleetCluster again when its declaration changes.
func (c *Controller) registerClusters(mgr manager.Manager) error {
	declared := predicate.Or(predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{})
	return ctrl.NewControllerManagedBy(mgr).Named("fleetcluster-plan").For(&v1alpha1.FleetCluster{}, builder.WithPredicates(declared)).
		Complete(reconcile.Func(func(_ context.Context, request reconcile.Request) (reconcile.Result, error) {
			c.replan(request.Namespace, func(s *scope) { s.clusters[request.Name] = true })
			return reconcile.Result{}, nil
		}))
}

// planLoop plans dirty namespaces one after the other: one goroutine owns the planners.
func (c *Controller) planLoop(ctx context.Context) error {
	refresh, all := time.NewTicker(planRefresh), time.NewTicker(planAll)
	defer refresh.Stop()
	defer all.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
		case <-refresh.C:
			for _, namespace := range c.namespaces() {
				c.Replan(namespace)
			}
		case <-all.C:
			for _, namespace := range c.namespaces() {
				c.replan(namespace, func(s *scope) { s.all = true })
			}
		}
		for namespace, scope := range c.takeDirty() {
			if err := c.planNamespace(ctx, namespace, scope); err != nil && ctx.Err() == nil {
				c.cfg.Log.Warn("cannot plan", "namespace", namespace, "error", err)
				time.AfterFunc(planRetry, func() { c.replan(namespace, scope.addTo) })
			}
		}
	}
}

// planNamespace brings the namespace's deliveries to what its repos declare. A namespace of which some repo was not read
// since the start is left as it is: what is unknown must not look removed.
func (c *Controller) planNamespace(ctx context.Context, namespace string, scope *scope) error {
	declared, ok, err := c.declared(ctx, namespace)
	if err != nil {
		return err
	}
	if !ok {
		// The repo's first reading wakes the plan.
		c.widen(namespace, scope.addTo)
		return nil
	}
	p := c.planner[namespace]
	if p == nil {
		p = c.newPlanner()
		c.planner[namespace] = p
	}
	n, err := c.gather(ctx, p, namespace, declared, scope)
	if err != nil {
		return err
	}
	changes, err := p.step(ctx, c.Term(), n)
	if err != nil {
		return err
	}
	if changes > 0 {
		c.cfg.Log.Info("planned", "namespace", namespace, "changes", changes, "commit", declared.commit())
	}
	declared.warnings = p.warnings
	c.mu.Lock()
	c.planned[namespace] = declared
	c.mu.Unlock()
	if err := p.spreadPolicies(ctx, c.Term(), n); err != nil {
		return err
	}
	if err := c.forgetConfirmed(ctx, n); err != nil {
		return err
	}
	if err := c.forgetGone(ctx, p); err != nil {
		return err
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

// forgetGone drops bundles that nobody declares and no cluster has any more.
func (c *Controller) forgetGone(ctx context.Context, p *planner) error {
	for key := range p.gone {
		left, err := c.cfg.Store.Deliveries(ctx, store.DeliveryFilter{Bundle: key})
		if err != nil {
			return err
		}
		if len(left) > 0 {
			continue
		}
		if err := c.cfg.Store.RemoveBundle(ctx, c.Term(), key); err != nil {
			return err
		}
		delete(p.gone, key)
	}
	return nil
}

// forgetConfirmed drops a person's words once the removals that they released are tombstones, so that they release nothing
// that comes later. While a cluster is relearned its removals still wait, and so do the words.
func (c *Controller) forgetConfirmed(ctx context.Context, in news) error {
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

// gather finds out what is new for a plan besides what the planner knows: commits, clusters, reports, a person's words.
func (c *Controller) gather(ctx context.Context, p *planner, namespace string, declared declaration, scope *scope) (news, error) {
	n := news{Namespace: namespace, Declared: declared, All: scope.all || !p.complete, Whole: slices.Collect(maps.Keys(scope.whole)),
		Bundles: slices.Collect(maps.Keys(scope.bundles)), Relearning: map[string]bool{}, Confirmed: map[string]bool{}, Now: time.Now()}
	var err error
	if n.All {
		err = c.gatherAllClusters(ctx, &n)
	} else {
		err = c.gatherClusters(ctx, p, scope, &n)
	}
	if err != nil {
		return n, err
	}
	if n.All || p.declared.identity != declared.identity {
		if n.Undeclared, err = c.undeclared(ctx, declared); err != nil {
			return n, err
		}
		rows, err := declared.rows()
		if err == nil {
			err = c.cfg.Store.PutBundles(ctx, c.Term(), rows)
		}
		if err != nil {
			return n, err
		}
	}
	c.watchValues(ctx, namespace, declared)
	if scope.facts && !n.All {
		if n.Facts, err = c.gatherFacts(ctx, p, namespace); err != nil {
			return n, err
		}
	}
	relearning, err := c.cfg.Store.Relearning(ctx)
	if err != nil {
		return n, err
	}
	for _, one := range relearning {
		if one.Cluster.Namespace == namespace {
			n.Relearning[one.Cluster.UID] = true
		}
	}
	words, err := c.cfg.Store.Words(ctx, namespace, store.WordConfirm)
	for subject := range words {
		n.Confirmed[subject] = true
	}
	return n, err
}

// watchValues watches what the namespace's bundles name in the hub's API.
func (c *Controller) watchValues(ctx context.Context, namespace string, declared declaration) {
	wanted := map[objectKey]bool{}
	for _, bundle := range declared.bundles {
		for _, key := range bundle.objects(namespace) {
			wanted[key] = true
		}
	}
	c.values.keep(ctx, c.running, namespace, wanted)
}

// undeclared are the bundles in the store that readable commits no longer declare.
func (c *Controller) undeclared(ctx context.Context, declared declaration) (map[delivery.Key]delivery.Cause, error) {
	out := map[delivery.Key]delivery.Cause{}
	here := declared.keys()
	for repo, snapshot := range declared.snapshots {
		bundles, err := c.cfg.Store.Bundles(ctx, repo)
		if err != nil {
			return nil, err
		}
		for _, bundle := range bundles {
			if !here[bundle.Key] && !snapshot.Frozen.Objects[fleet.ObjectKey("Bundle", bundleName(bundle.Key))] {
				out[bundle.Key] = delivery.Cause{Kind: "commit", Ref: snapshot.Commit,
					Message: fmt.Sprintf("commit %.12s no longer declares bundle %s (%s)", snapshot.Commit, bundle.Key, bundle.Path)}
			}
		}
	}
	return out, nil
}

func (c *Controller) gatherAllClusters(ctx context.Context, n *news) error {
	var list v1alpha1.FleetClusterList
	if err := c.client.List(ctx, &list, client.InNamespace(n.Namespace)); err != nil {
		return err
	}
	return c.takeClusters(ctx, list.Items, n)
}

// gatherClusters reads the clusters of which something was said.
func (c *Controller) gatherClusters(ctx context.Context, p *planner, scope *scope, n *news) error {
	var changed []v1alpha1.FleetCluster
	for name := range scope.clusters {
		before, had := p.index.UID(name)
		var cluster v1alpha1.FleetCluster
		err := c.client.Get(ctx, client.ObjectKey{Namespace: n.Namespace, Name: name}, &cluster)
		if client.IgnoreNotFound(err) != nil {
			return err
		}
		if had && (err != nil || string(cluster.UID) != before || cluster.DeletionTimestamp != nil) {
			n.Gone = append(n.Gone, before)
		}
		if err == nil {
			changed = append(changed, cluster)
		}
	}
	return c.takeClusters(ctx, changed, n)
}

// takeClusters gives the store its rows and the plan its facts; a cluster that is being deleted has neither.
func (c *Controller) takeClusters(ctx context.Context, clusters []v1alpha1.FleetCluster, n *news) error {
	var rows []delivery.Cluster
	providers := providers{client: c.client, reader: c.cfg.Manager.GetAPIReader(), kinds: map[string]string{}}
	for i := range clusters {
		cluster := &clusters[i]
		if cluster.DeletionTimestamp != nil {
			continue
		}
		provider, err := providers.of(ctx, cluster)
		if err != nil {
			return err
		}
		facts, err := target.NewCluster(cluster, provider)
		if err != nil {
			return err
		}
		rows = append(rows, delivery.Cluster{UID: facts.UID, Namespace: facts.Namespace, Name: facts.Name, Labels: facts.Labels})
		n.Clusters = append(n.Clusters, facts)
	}
	return c.cfg.Store.UpsertClusters(ctx, c.Term(), rows)
}

// gatherFacts reads what agents reported anew, where some bundle may ask for it.
func (c *Controller) gatherFacts(ctx context.Context, p *planner, namespace string) (map[string]store.Facts, error) {
	marks, err := c.cfg.Store.FactMarks(ctx, namespace)
	if err != nil {
		return nil, err
	}
	out := map[string]store.Facts{}
	for uid, mark := range marks {
		if _, asked := p.facts[uid]; !asked || p.marks[uid] == mark {
			continue
		}
		if out[uid], err = c.cfg.Store.Facts(ctx, uid); err != nil {
			return nil, err
		}
	}
	p.marks = marks
	return out, nil
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

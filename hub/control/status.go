package control

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/projection"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// statusOwner is the field manager of what this package writes into a FleetCluster's status.
const statusOwner = client.FieldOwner("periplus-link")

// statusLoop keeps the projections and the FleetClusters' link status as the store has them. It looks at one number a second
// and does nothing while that stands still.
func (c *Controller) statusLoop(ctx context.Context) error {
	var seen uint64
	for {
		if err := wait(ctx, statusEvery); err != nil {
			return err
		}
		meta, err := c.cfg.Store.Meta(ctx)
		if err == nil && meta.WriteMark != seen {
			seen = meta.WriteMark
			err = c.writeStatus(ctx)
		}
		if err != nil && ctx.Err() == nil {
			seen = 0
			c.cfg.Log.Warn("cannot write status", "error", err)
		}
	}
}

func (c *Controller) writeStatus(ctx context.Context) error {
	for _, namespace := range c.namespaces() {
		if err := c.writeNamespace(ctx, namespace); err != nil {
			return fmt.Errorf("cannot write status of namespace %q: %w", namespace, err)
		}
		// A report of a relearned cluster, a person's word, a dependency that is ready and a reported fact are writes too.
		c.replan(namespace, func(s *scope) { s.facts = true })
	}
	return nil
}

func (c *Controller) writeNamespace(ctx context.Context, namespace string) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	// What is shown is what was planned, taken before the deliveries are read: a commit that was only read must not stand
	// beside what was ready before it.
	c.mu.Lock()
	declared, planned := c.planned[namespace]
	c.mu.Unlock()
	byBundle, byCluster, err := tallies(ctx, c.cfg.Store, namespace)
	if err != nil {
		return err
	}
	rows, err := c.cfg.Store.Clusters(ctx, namespace)
	if err != nil {
		return err
	}
	var clusters v1alpha1.FleetClusterList
	if err := c.client.List(ctx, &clusters, client.InNamespace(namespace)); err != nil {
		return err
	}
	byUID := map[string]delivery.Cluster{}
	for _, row := range rows {
		byUID[row.UID] = row
	}
	for i := range clusters.Items {
		row, known := byUID[string(clusters.Items[i].UID)]
		if !known {
			continue
		}
		if err := c.writeCluster(ctx, &clusters.Items[i], row, tally(byCluster, row.UID)); err != nil {
			return err
		}
	}
	found, err := c.findings(ctx, namespace)
	if err != nil {
		return err
	}
	if !planned {
		return nil
	}
	return c.writer.Write(ctx, viewOf(namespace, declared, byBundle, found, clusters.Items))
}

// tallies of a namespace's deliveries. All are counted by an index; only those that something is wrong with are read.
func tallies(ctx context.Context, from *store.Store, namespace string) (byBundle map[delivery.Key]*projection.Tally, byCluster map[string]*projection.Tally, err error) {
	byBundle, byCluster = map[delivery.Key]*projection.Tally{}, map[string]*projection.Tally{}
	ofBundles, err := from.CountByBundle(ctx, namespace)
	if err != nil {
		return nil, nil, err
	}
	for _, count := range ofBundles {
		tally(byBundle, delivery.Key(count.Of)).Sum(count.State, count.Count)
	}
	ofClusters, err := from.CountByCluster(ctx, namespace)
	if err != nil {
		return nil, nil, err
	}
	for _, count := range ofClusters {
		tally(byCluster, count.Of).Sum(count.State, count.Count)
	}
	troubled, err := from.Deliveries(ctx, store.DeliveryFilter{Namespace: namespace, States: projection.Troubles})
	for _, d := range troubled {
		tally(byBundle, d.Bundle).Note(d, d.Cluster)
		tally(byCluster, d.ClusterUID).Note(d, string(d.Bundle))
	}
	return byBundle, byCluster, err
}

// findings counts the gate's results by policy.
func (c *Controller) findings(ctx context.Context, namespace string) (map[string]*v1alpha1.PolicyStatus, error) {
	out := map[string]*v1alpha1.PolicyStatus{}
	counts, err := c.cfg.Store.CountPolicyResults(ctx, namespace)
	for _, row := range counts {
		if row.Point != engine.PointGate {
			continue
		}
		if out[row.Policy] == nil {
			out[row.Policy] = &v1alpha1.PolicyStatus{}
		}
		switch {
		case row.Result == engine.ResultSkip:
		case row.Action == string(v1alpha1.PolicyDeny):
			out[row.Policy].Denied += int32(row.Count)
		default:
			out[row.Policy].Warned += int32(row.Count)
		}
	}
	return out, err
}

func tally[K comparable](tallies map[K]*projection.Tally, key K) *projection.Tally {
	if tallies[key] == nil {
		tallies[key] = &projection.Tally{}
		tallies[key].Count.Display = "0/0"
	}
	return tallies[key]
}

// writeCluster applies the link's part of a FleetCluster's status, when it differs from what stands there.
func (c *Controller) writeCluster(ctx context.Context, cluster *v1alpha1.FleetCluster, row delivery.Cluster, t *projection.Tally) error {
	c.mu.Lock()
	unclaimed := c.unclaimed[row.UID]
	c.mu.Unlock()
	conditions := linkConditions(row, unclaimed, cluster.Generation)
	version := row.KubernetesVersion
	same := cluster.Status.Bundles != nil && *cluster.Status.Bundles == t.Count && cluster.Status.AgentVersion == row.AgentVersion &&
		sameMinute(cluster.Status.LastSeen, row.LastSeen)
	for i := range conditions {
		conditions[i].LastTransitionTime = metav1.Now().Rfc3339Copy()
		found := false
		for _, old := range cluster.Status.Conditions {
			if old.Type == conditions[i].Type {
				found = true
				if old.Status == conditions[i].Status {
					conditions[i].LastTransitionTime = old.LastTransitionTime
				}
				same = same && old.Status == conditions[i].Status && old.Message == conditions[i].Message && old.Reason == conditions[i].Reason
			}
		}
		same = same && found
	}
	if same {
		return nil
	}
	status := v1alpha1.FleetClusterStatus{AgentVersion: row.AgentVersion, Bundles: &t.Count, Conditions: conditions}
	if cluster.Spec.Provision == nil {
		status.Version = version
	}
	if !row.LastSeen.IsZero() {
		seen := metav1.NewTime(row.LastSeen.Truncate(time.Second))
		status.LastSeen = &seen
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&status)
	if err != nil {
		return err
	}
	delete(fields, "observedGeneration")
	patch := &unstructured.Unstructured{Object: map[string]any{"status": fields}}
	patch.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("FleetCluster"))
	patch.SetNamespace(cluster.Namespace)
	patch.SetName(cluster.Name)
	patch.SetUID(cluster.UID)
	err = c.client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(patch), statusOwner, client.ForceOwnership)
	return client.IgnoreNotFound(err)
}

// linkConditions are Connected, and Relearning while it lasts or to say that it is over.
func linkConditions(row delivery.Cluster, unclaimed string, generation int64) []metav1.Condition {
	connected := metav1.Condition{Type: v1alpha1.ConditionConnected, Status: metav1.ConditionTrue, Reason: "LinkUp",
		Message: "the agent is connected", ObservedGeneration: generation}
	switch {
	case !row.Connected && row.LastSeen.IsZero():
		connected.Status, connected.Reason, connected.Message = metav1.ConditionFalse, "NeverSeen", "the agent has not connected yet"
	case !row.Connected:
		connected.Status, connected.Reason = metav1.ConditionUnknown, "Silent"
		connected.Message = "the agent is silent since " + row.LastSeen.UTC().Format(time.RFC3339) + "; its state is the last known one"
	}
	relearning := metav1.Condition{Type: v1alpha1.ConditionRelearning, Status: metav1.ConditionFalse, Reason: "Known", ObservedGeneration: generation}
	if row.Relearn {
		relearning.Status, relearning.Reason = metav1.ConditionTrue, "Relearning"
		relearning.Message = "waits for the agent's report of what it runs; nothing is removed meanwhile"
		if unclaimed != "" {
			relearning.Reason = "Unclaimed"
			relearning.Message = "nobody declares " + unclaimed + ": periplus recover plan, then accept or orphan"
		}
	}
	return []metav1.Condition{connected, relearning}
}

func sameMinute(have *metav1.Time, now time.Time) bool {
	if have == nil || now.IsZero() {
		return have == nil && now.IsZero()
	}
	return now.Sub(have.Time).Abs() < time.Minute
}

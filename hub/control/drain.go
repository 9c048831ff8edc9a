package control

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/clusters/fleetcluster"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
)

// drainPatience is how long a silent cluster that Cluster API deletes anyway may hold up its own removal.
const drainPatience = 30 * time.Second

// Drain gives every bundle of a cluster that is being removed its tombstone, and says when all are carried out. It is called
// by the FleetCluster's finalizer, again and again until done.
func (c *Controller) Drain(ctx context.Context, cluster *v1alpha1.FleetCluster) (done bool, waiting string, err error) {
	uid := string(cluster.UID)
	deliveries, err := c.cfg.Store.Deliveries(ctx, store.DeliveryFilter{ClusterUID: uid})
	if err != nil {
		return false, "", err
	}
	orphan := fleetcluster.Policy(cluster) == v1alpha1.DeletionOrphan
	var changes []store.Change
	var left []string
	for _, d := range deliveries {
		left = append(left, string(d.Bundle))
		if d.Tombstone != nil {
			continue
		}
		cause := delivery.Cause{Kind: "cluster", Ref: cluster.Name, Message: fmt.Sprintf("cluster %s is being removed", cluster.Name)}
		changes = append(changes, store.Change{ClusterUID: uid, Bundle: d.Bundle,
			Tombstone: &delivery.Tombstone{Cause: cause, Orphan: orphan, Confirmed: true},
			Events: []delivery.Event{{Time: time.Now(), Namespace: cluster.Namespace, Cluster: cluster.Name, Bundle: bundleName(d.Bundle),
				Type: "Tombstoned", From: string(d.Assigned.Revision), Message: cause.Message}}})
	}
	if len(changes) > 0 {
		if err := c.cfg.Store.Apply(ctx, c.Term(), changes); err != nil {
			return false, "", err
		}
	}
	if len(left) == 0 {
		return true, "", nil
	}
	row, err := c.cfg.Store.Cluster(ctx, uid)
	if err != nil {
		return false, "", err
	}
	silent := !row.Connected && cluster.DeletionTimestamp != nil && time.Since(cluster.DeletionTimestamp.Time) > drainPatience
	if silent && (orphan || cluster.Spec.Provision != nil) {
		return true, "", nil
	}
	waiting = fmt.Sprintf("%d bundles still to leave: %s", len(left), strings.Join(left, ", "))
	if !row.Connected {
		waiting += " (the cluster's agent is not connected)"
	}
	return false, waiting, nil
}

// Forget ends the identity of a removed cluster and drops its rows.
func (c *Controller) Forget(ctx context.Context, uid string) error {
	if err := c.cfg.Store.RevokeCertificates(ctx, uid, time.Now()); err != nil {
		return err
	}
	return c.cfg.Store.RemoveCluster(ctx, c.Term(), uid)
}

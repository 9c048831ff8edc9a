package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/uptrace/bun"
	"google.golang.org/protobuf/proto"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
)

// Change of one delivery; a nil field leaves what is.
type Change struct {
	ClusterUID string
	Bundle     delivery.Key
	// Target is what Git declares, Assigned what the agent shall run. When the assigned revision was Ready it becomes the
	// previous one.
	Target   *delivery.Assignment
	Assigned *delivery.Assignment
	Reason   *string
	Message  *string
	// Tombstone lets the bundle leave: its entry goes from the set, its row when the agent has carried it out.
	Tombstone      *delivery.Tombstone
	ClearTombstone bool
	// Results replace the policy results.
	Results *[]delivery.PolicyResult
	Events  []delivery.Event
}

// DeliveryFilter chooses deliveries; an empty field matches all.
type DeliveryFilter struct {
	Namespace  string
	ClusterUID string
	Bundle     delivery.Key
	// Bundles are any of these; nil is all.
	Bundles []delivery.Key
	// States are any of these; nil is all.
	States []string
}

// Apply carries out decisions in one transaction. Per cluster whose entries or tombstones change, the generation rises once,
// and the set's hash by what changed.
func (s *Store) Apply(ctx context.Context, term uint64, changes []Change) error {
	byCluster := map[string][]Change{}
	for _, change := range changes {
		byCluster[change.ClusterUID] = append(byCluster[change.ClusterUID], change)
	}
	uids := slices.Sorted(maps.Keys(byCluster))
	var moved []string
	err := s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		moved = nil
		if err := s.checkTerm(ctx, tx, term); err != nil {
			return err
		}
		for _, uid := range uids {
			raised, err := s.applyCluster(ctx, tx, uid, byCluster[uid])
			if err != nil {
				return err
			}
			if raised {
				moved = append(moved, uid)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot write decisions: %w", err)
	}
	s.notify(ctx, moved...)
	return nil
}

// applyCluster changes one cluster's deliveries and says whether its set changed. A cluster that is gone changes nothing.
func (s *Store) applyCluster(ctx context.Context, tx bun.Tx, uid string, changes []Change) (bool, error) {
	cluster, err := s.lockCluster(ctx, tx, uid)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	hash, err := content.HashFrom(cluster.SetHash)
	if err != nil {
		return false, err
	}
	generation := uint64(cluster.Generation) + 1
	known, err := deliveryRows(ctx, tx, uid, changes)
	if err != nil {
		return false, err
	}
	batch := decided{rows: map[delivery.Key]*deliveryRow{}}
	raised := false
	for _, change := range changes {
		row := known[change.Bundle]
		if row == nil {
			row = &deliveryRow{ClusterUID: uid, Bundle: string(change.Bundle), Namespace: cluster.Namespace, Cluster: cluster.Name,
				Target: "{}", Assigned: "{}", Previous: "{}"}
			known[change.Bundle] = row
		}
		moved, err := s.applyOne(row, generation, &hash, change)
		if err != nil {
			return false, err
		}
		batch.add(row, change)
		raised = raised || moved
	}
	if err := s.writeDecided(ctx, tx, batch); err != nil {
		return false, err
	}
	if !raised {
		return false, nil
	}
	_, err = tx.NewUpdate().Model((*clusterRow)(nil)).Set("generation = ?", int64(generation)).Set("set_hash = ?", hash[:]).
		Where("uid = ?", uid).Exec(ctx)
	return true, err
}

func (s *Store) lockCluster(ctx context.Context, tx bun.Tx, uid string) (*clusterRow, error) {
	row := &clusterRow{}
	query := tx.NewSelect().Model(row).Where("uid = ?", uid)
	if s.postgres {
		query = query.For("UPDATE")
	}
	err := query.Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("cluster %q: %w", uid, ErrNotFound)
	}
	return row, err
}

// applyOne brings one row to what the change says.
func (s *Store) applyOne(row *deliveryRow, generation uint64, hash *content.Hash, change Change) (moved bool, err error) {
	before, err := row.delivery()
	if err != nil {
		return false, err
	}
	after := before
	change.into(&after, generation)
	moved = !sameEntry(entryOf(before), entryOf(after)) || !proto.Equal(tombstone(before), tombstone(after))
	if moved {
		after.Generation = generation
		if old := entryOf(before); old != nil {
			*hash = hash.Sub(content.EntryHash(old))
		}
		if now := entryOf(after); now != nil {
			*hash = hash.Add(content.EntryHash(now))
		}
	}
	return moved, s.encode(row, after)
}

// into carries out the change on a delivery.
func (c Change) into(d *delivery.Delivery, generation uint64) {
	if c.Target != nil {
		d.Target = *c.Target
	}
	if c.Assigned != nil {
		if d.Observed.State == "Ready" && d.Observed.AppliedRevision == d.Assigned.Revision && d.Assigned.Revision != c.Assigned.Revision {
			d.Previous = d.Assigned
		}
		d.Assigned = *c.Assigned
	}
	if c.Reason != nil {
		d.Reason = *c.Reason
	}
	if c.Message != nil {
		d.Message = *c.Message
	}
	if c.ClearTombstone {
		d.Tombstone = nil
	}
	if c.Tombstone != nil {
		stone := *c.Tombstone
		stone.Generation = generation
		// What the bundle said of its removal was said while it was there: the entry that ends says it.
		stone.Orphan = stone.Orphan || d.Assigned.Options.GetOrphan()
		if d.Tombstone != nil && d.Tombstone.Orphan == stone.Orphan && d.Tombstone.Confirmed == stone.Confirmed {
			stone = *d.Tombstone
		}
		d.Tombstone = &stone
	}
}

// entryOf is the pair's entry in the cluster's set: none while it leaves or before something is assigned.
func entryOf(d delivery.Delivery) *linkv1.Entry {
	if d.Tombstone != nil {
		return nil
	}
	return d.Assigned.Entry(d.Bundle)
}

func sameEntry(a, b *linkv1.Entry) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return content.EntryHash(a) == content.EntryHash(b)
}

// Deliveries that the filter chooses, by cluster and bundle.
func (s *Store) Deliveries(ctx context.Context, filter DeliveryFilter) ([]delivery.Delivery, error) {
	var rows []*deliveryRow
	query := s.reader.NewSelect().Model(&rows).Order("namespace", "cluster", "bundle")
	if filter.Namespace != "" {
		query = query.Where("namespace = ?", filter.Namespace)
	}
	if filter.ClusterUID != "" {
		query = query.Where("cluster_uid = ?", filter.ClusterUID)
	}
	if filter.Bundle != "" {
		query = query.Where("bundle = ?", string(filter.Bundle))
	}
	if filter.Bundles != nil {
		query = query.Where("bundle IN (?)", bun.List(filter.Bundles))
	}
	if filter.States != nil {
		query = query.Where("state IN (?)", bun.List(filter.States))
	}
	if err := query.Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot read deliveries: %w", err)
	}
	out := make([]delivery.Delivery, 0, len(rows))
	for _, row := range rows {
		d, err := row.delivery()
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

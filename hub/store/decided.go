package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/uptrace/bun"

	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// writeRows bounds how many rows one statement writes: databases bound how many values it may have.
const writeRows = 200

// decided is what the changes of one cluster come to. It is written together: a statement each would cost more than the rows.
type decided struct {
	rows map[delivery.Key]*deliveryRow
	// judged are bundles whose policy results are replaced, by those in results.
	judged  map[delivery.Key][]*policyRow
	history []delivery.Event
}

func (d *decided) add(row *deliveryRow, change Change) {
	d.rows[change.Bundle] = row
	d.history = append(d.history, change.Events...)
	if change.Results == nil {
		return
	}
	if d.judged == nil {
		d.judged = map[delivery.Key][]*policyRow{}
	}
	d.judged[change.Bundle] = policyRows(row, *change.Results)
}

// deliveryRows are those that changes are about, where they are there.
func deliveryRows(ctx context.Context, tx bun.Tx, uid string, changes []Change) (map[delivery.Key]*deliveryRow, error) {
	names := make([]string, len(changes))
	for i, change := range changes {
		names[i] = string(change.Bundle)
	}
	out := make(map[delivery.Key]*deliveryRow, len(changes))
	for some := range slices.Chunk(names, readChunk) {
		var rows []*deliveryRow
		if err := tx.NewSelect().Model(&rows).Where("cluster_uid = ? AND bundle IN (?)", uid, bun.List(some)).Scan(ctx); err != nil {
			return nil, err
		}
		for _, row := range rows {
			out[delivery.Key(row.Bundle)] = row
		}
	}
	return out, nil
}

// encode a delivery into its row.
func (s *Store) encode(row *deliveryRow, d delivery.Delivery) error {
	var err error
	if row.TargetRevision, row.Target, err = encodeAssignment(d.Target); err != nil {
		return err
	}
	if row.AssignedRevision, row.Assigned, err = encodeAssignment(d.Assigned); err != nil {
		return err
	}
	if row.PreviousRevision, row.Previous, err = encodeAssignment(d.Previous); err != nil {
		return err
	}
	row.Tombstone = ""
	if d.Tombstone != nil {
		data, err := json.Marshal(d.Tombstone)
		if err != nil {
			return err
		}
		row.Tombstone = string(data)
	}
	row.Reason, row.Message, row.Generation, row.State = d.Reason, d.Message, int64(d.Generation), d.State()
	row.Updated = micros(s.now())
	return nil
}

func (s *Store) writeDecided(ctx context.Context, tx bun.Tx, d decided) error {
	keys := slices.Sorted(maps.Keys(d.rows))
	for some := range slices.Chunk(keys, writeRows) {
		rows := make([]*deliveryRow, len(some))
		for i, key := range some {
			rows[i] = d.rows[key]
		}
		_, err := tx.NewInsert().Model(&rows).On("CONFLICT (cluster_uid, bundle) DO UPDATE").
			Set("target_revision = EXCLUDED.target_revision").Set("target = EXCLUDED.target").
			Set("assigned_revision = EXCLUDED.assigned_revision").Set("assigned = EXCLUDED.assigned").
			Set("previous_revision = EXCLUDED.previous_revision").Set("previous = EXCLUDED.previous").
			Set("tombstone = EXCLUDED.tombstone").Set("reason = EXCLUDED.reason").Set("message = EXCLUDED.message").
			Set("generation = EXCLUDED.generation").Set("state = EXCLUDED.state").Set("updated = EXCLUDED.updated").Exec(ctx)
		if err != nil {
			return fmt.Errorf("cannot write deliveries of cluster %q: %w", rows[0].Cluster, err)
		}
	}
	if err := writeResults(ctx, tx, d); err != nil {
		return err
	}
	return s.writeEvents(ctx, tx, d.history)
}

func writeResults(ctx context.Context, tx bun.Tx, d decided) error {
	var all []*policyRow
	for some := range slices.Chunk(slices.Sorted(maps.Keys(d.judged)), readChunk) {
		_, err := tx.NewDelete().Table("policy_results").Where("cluster_uid = ? AND bundle IN (?)", d.rows[some[0]].ClusterUID, bun.List(some)).Exec(ctx)
		if err != nil {
			return err
		}
		for _, key := range some {
			all = append(all, d.judged[key]...)
		}
	}
	for rows := range slices.Chunk(all, writeRows) {
		if _, err := tx.NewInsert().Model(&rows).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

func policyRows(of *deliveryRow, results []delivery.PolicyResult) []*policyRow {
	rows := make([]*policyRow, len(results))
	for i, r := range results {
		rows[i] = &policyRow{ClusterUID: of.ClusterUID, Bundle: of.Bundle, Namespace: of.Namespace, Cluster: of.Cluster,
			Policy: r.Policy, Action: r.Action, Result: r.Result, ObjectGroup: r.Object.Group, Kind: r.Object.Kind,
			ObjectNamespace: r.Object.Namespace, Name: r.Object.Name, Message: r.Message, Source: r.Source,
			PolicySource: r.PolicySource, Exemption: r.Exemption, Point: engine.PointGate}
	}
	return rows
}

func (s *Store) writeEvents(ctx context.Context, tx bun.Tx, events []delivery.Event) error {
	for some := range slices.Chunk(events, writeRows) {
		rows := make([]*historyRow, len(some))
		for i, e := range some {
			if e.Time.IsZero() {
				e.Time = s.now()
			}
			rows[i] = &historyRow{Time: micros(e.Time), Namespace: e.Namespace, Cluster: e.Cluster, Bundle: e.Bundle, Type: e.Type,
				FromValue: e.From, ToValue: e.To, CommitSha: e.Commit, Actor: e.Actor, Message: e.Message}
		}
		if _, err := tx.NewInsert().Model(&rows).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

package store

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"
	"google.golang.org/protobuf/proto"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
)

// Relearn is a cluster that is relearned; Report is nil until its agent sent it.
type Relearn struct {
	Cluster delivery.Cluster
	Report  *linkv1.RelearnReport
}

// SaveRelearn keeps an agent's report until control answers it.
func (s *Store) SaveRelearn(ctx context.Context, uid string, session uint64, report *linkv1.RelearnReport) error {
	data, err := proto.Marshal(report)
	if err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*clusterRow)(nil)).Set("relearn = ?", true).Set("relearn_report = ?", data).
			Where("uid = ? AND session = ? AND epoch = ?", uid, int64(session), report.GetEpoch()).Exec(ctx)
		return err
	})
}

// Relearning are the clusters that are relearned.
func (s *Store) Relearning(ctx context.Context) ([]Relearn, error) {
	var rows []*clusterRow
	if err := s.reader.NewSelect().Model(&rows).Where("relearn = ?", true).Order("namespace", "name").Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot read relearning clusters: %w", err)
	}
	var out []Relearn
	for _, row := range rows {
		cluster, err := row.cluster()
		if err != nil {
			return nil, err
		}
		item := Relearn{Cluster: cluster}
		if len(row.RelearnReport) > 0 {
			item.Report = &linkv1.RelearnReport{}
			if err := proto.Unmarshal(row.RelearnReport, item.Report); err != nil {
				return nil, fmt.Errorf("cannot read the relearn report of cluster %q: %w", row.Name, err)
			}
		}
		out = append(out, item)
	}
	return out, nil
}

// FinishRelearn makes what control decided the cluster's set. Deliveries that the agent did not report lose their assignment,
// so that the next plan assigns them anew; their targets stay.
func (s *Store) FinishRelearn(ctx context.Context, term uint64, uid string, kept []Change) error {
	err := s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.checkTerm(ctx, tx, term); err != nil {
			return err
		}
		if _, err := s.lockCluster(ctx, tx, uid); err != nil {
			return err
		}
		if err := s.unassign(ctx, tx, uid); err != nil {
			return err
		}
		var empty content.Hash
		_, err := tx.NewUpdate().Model((*clusterRow)(nil)).Set("set_hash = ?", empty[:]).Set("relearn = ?", false).Set("relearn_report = NULL").
			Set("generation = generation + 1").Where("uid = ?", uid).Exec(ctx)
		if err != nil {
			return err
		}
		_, err = s.applyCluster(ctx, tx, uid, kept)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot finish relearning cluster %q: %w", uid, err)
	}
	s.notify(ctx, uid)
	return nil
}

// unassign empties a cluster's set. What its agent observed stays: it is true of whatever is assigned next, and an agent says
// only once what does not change.
func (s *Store) unassign(ctx context.Context, tx bun.Tx, uid string) error {
	var rows []*deliveryRow
	if err := tx.NewSelect().Model(&rows).Where("cluster_uid = ?", uid).Scan(ctx); err != nil {
		return err
	}
	for _, row := range rows {
		d, err := row.delivery()
		if err != nil {
			return err
		}
		d.Assigned, d.Tombstone = delivery.Assignment{}, nil
		_, err = tx.NewUpdate().Model((*deliveryRow)(nil)).Set("assigned_revision = ''").Set("assigned = '{}'").Set("tombstone = ''").
			Set("state = ?", d.State()).Where("cluster_uid = ? AND bundle = ?", uid, row.Bundle).Exec(ctx)
		if err != nil {
			return err
		}
	}
	return nil
}

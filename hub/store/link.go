package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
)

// Desired is a cluster's desired set, or the part of it that changed since a base.
type Desired struct {
	Position   delivery.Position
	Entries    []*linkv1.Entry
	Tombstones []*linkv1.Tombstone
	Relearn    bool
}

// duplicateWindow is how soon an instance that comes back after another one took its session shows two living instances.
const duplicateWindow = time.Minute

// ClaimSession takes a cluster for a process: its session's number rises by one, and older sessions' writes become no-ops.
func (s *Store) ClaimSession(ctx context.Context, uid, process, instance string) (session uint64, err error) {
	err = s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		row, err := s.lockCluster(ctx, tx, uid)
		if err != nil {
			return err
		}
		now := s.now()
		if instance != row.Instance && instance == row.PreviousInstance && now.Sub(fromMicros(row.Claimed)) < duplicateWindow {
			return ErrDuplicateIdentity
		}
		update := tx.NewUpdate().Model((*clusterRow)(nil)).Set("session = ?", row.Session+1).Set("sequence = 0").Set("process = ?", process).
			Set("connected = ?", true).Set("last_seen = ?", micros(now)).Where("uid = ?", uid)
		if instance != row.Instance {
			update = update.Set("previous_instance = ?", row.Instance).Set("instance = ?", instance).Set("claimed = ?", micros(now))
		}
		session = uint64(row.Session + 1)
		_, err = update.Exec(ctx)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("cannot claim the session of cluster %q: %w", uid, err)
	}
	return session, nil
}

// ReleaseSession marks a cluster as silent where the session is still its current one, and says whether it is silent now.
func (s *Store) ReleaseSession(ctx context.Context, uid string, session uint64) (gone bool, err error) {
	err = s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*clusterRow)(nil)).Set("connected = ?", false).Where("uid = ? AND session = ?", uid, int64(session)).Exec(ctx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("cannot release the session of cluster %q: %w", uid, err)
	}
	row, err := s.clusterRow(ctx, s.reader, uid)
	if errors.Is(err, ErrNotFound) {
		return true, nil
	}
	return err == nil && !row.Connected, err
}

// SilenceUnheard marks the clusters that were not heard since as silent, which a process that died could not do.
func (s *Store) SilenceUnheard(ctx context.Context, since time.Time) error {
	quiet, err := s.reader.NewSelect().Model((*clusterRow)(nil)).Where("connected = ? AND last_seen < ?", true, micros(since)).Exists(ctx)
	if err != nil || !quiet {
		return err
	}
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*clusterRow)(nil)).Set("connected = ?", false).Where("connected = ? AND last_seen < ?", true, micros(since)).Exec(ctx)
		return err
	})
}

// Desired is a cluster's whole set.
func (s *Store) Desired(ctx context.Context, uid string) (Desired, error) {
	desired, _, err := s.since(ctx, uid, nil)
	return desired, err
}

// Since is what changed after base. ok is false when base is not the position on record for this cluster in this epoch: then
// nothing may be concluded from it.
func (s *Store) Since(ctx context.Context, uid string, base delivery.Position) (desired Desired, ok bool, err error) {
	return s.since(ctx, uid, &base)
}

func (s *Store) since(ctx context.Context, uid string, base *delivery.Position) (out Desired, ok bool, err error) {
	// One transaction: the set must be that of the position.
	options := &sql.TxOptions{ReadOnly: s.postgres}
	if s.postgres {
		options.Isolation = sql.LevelRepeatableRead
	}
	err = s.reader.RunInTx(ctx, options, func(ctx context.Context, tx bun.Tx) error {
		row, err := s.clusterRow(ctx, tx, uid)
		if err != nil {
			return err
		}
		cluster, err := row.cluster()
		if err != nil {
			return err
		}
		out = Desired{Position: delivery.Position{Epoch: cluster.Epoch, Generation: cluster.Generation, SetHash: cluster.SetHash}, Relearn: cluster.Relearn}
		if base != nil && (cluster.Relearn || *base != cluster.Accepted || base.Epoch != cluster.Epoch || base.Generation > cluster.Generation) {
			return nil
		}
		ok = true
		var rows []*deliveryRow
		query := tx.NewSelect().Model(&rows).Where("cluster_uid = ?", uid).Order("bundle")
		if base != nil {
			query = query.Where("generation > ?", int64(base.Generation))
		}
		if err := query.Scan(ctx); err != nil {
			return err
		}
		for _, row := range rows {
			d, err := row.delivery()
			if err != nil {
				return err
			}
			if entry := entryOf(d); entry != nil {
				out.Entries = append(out.Entries, entry)
			}
			if stone := tombstone(d); stone != nil {
				out.Tombstones = append(out.Tombstones, stone)
			}
		}
		return nil
	})
	if err != nil {
		return Desired{}, false, fmt.Errorf("cannot read the desired set of cluster %q: %w", uid, err)
	}
	return out, ok, nil
}

// Accept records what an agent said to be durable; a stale session's word does nothing.
func (s *Store) Accept(ctx context.Context, uid string, session uint64, p delivery.Position, refused []*linkv1.Refused) error {
	names := map[string]string{}
	for _, r := range refused {
		names[r.GetBundle()] = r.GetReason()
	}
	text, err := json.Marshal(names)
	if err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*clusterRow)(nil)).Set("accepted_epoch = ?", p.Epoch).Set("accepted_generation = ?", int64(p.Generation)).
			Set("accepted_hash = ?", p.SetHash[:]).Set("refused = ?", string(text)).Where("uid = ? AND session = ?", uid, int64(session)).Exec(ctx)
		return err
	})
}

// Touch records when clusters were last heard, in bulk.
func (s *Store) Touch(ctx context.Context, seen map[string]time.Time) error {
	if len(seen) == 0 {
		return nil
	}
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		// In order, as every write locks clusters.
		for _, uid := range slices.Sorted(maps.Keys(seen)) {
			at := seen[uid]
			_, err := tx.NewUpdate().Model((*clusterRow)(nil)).Set("last_seen = ?", micros(at)).Where("uid = ? AND last_seen < ?", uid, micros(at)).Exec(ctx)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Moved are those of the clusters (uid to the generation sent) whose generation is another now.
func (s *Store) Moved(ctx context.Context, sent map[string]uint64) ([]string, error) {
	uids := make([]string, 0, len(sent))
	for uid := range sent {
		uids = append(uids, uid)
	}
	var moved []string
	for start := 0; start < len(uids); start += readChunk {
		var rows []*clusterRow
		chunk := uids[start:min(start+readChunk, len(uids))]
		if err := s.reader.NewSelect().Model(&rows).Column("uid", "generation").Where("uid IN (?)", bun.List(chunk)).Scan(ctx); err != nil {
			return nil, fmt.Errorf("cannot look for moved clusters: %w", err)
		}
		for _, row := range rows {
			if uint64(row.Generation) != sent[row.UID] {
				moved = append(moved, row.UID)
			}
		}
	}
	return moved, nil
}

// MayFetch says whether a cluster may have a bundle's revision: assigned now, declared next, or the one to go back to.
func (s *Store) MayFetch(ctx context.Context, uid, bundle string, revision content.Digest) (bool, error) {
	may, err := s.reader.NewSelect().Model((*deliveryRow)(nil)).Where("cluster_uid = ? AND bundle = ?", uid, bundle).
		Where("? IN (target_revision, assigned_revision, previous_revision)", string(revision)).Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("cannot check what cluster %q may fetch: %w", uid, err)
	}
	return may, nil
}

// Package store keeps what the hub must not lose and what people ask of it: deliveries, what agents reported, history, policy
// results, identities, and content by digest. It speaks SQLite (one hub process) and PostgreSQL (many) with the same schema.
//
// Every write is one transaction. SQLite has one writer, which groups what arrives within a few milliseconds into one commit;
// a write is acknowledged after its commit. Control's writes carry the leader's term, the link's carry (session, sequence):
// what comes from a process that was replaced does nothing.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("not found")
	// ErrStaleTerm refuses a control write of a process that leads no more.
	ErrStaleTerm = errors.New("another process leads")
	// ErrDuplicateIdentity: two instances claim one cluster's session in turn.
	ErrDuplicateIdentity = errors.New("two agents use the identity of one cluster")
	// ErrInvalidQuery: a filter, sort or cursor that the list does not know.
	ErrInvalidQuery = errors.New("invalid query")
	// ErrClosed refuses a write to a store that was closed.
	ErrClosed = errors.New("the store is closed")
)

// KeySize of Config.Key in bytes.
const KeySize = 32

// Config of a store.
type Config struct {
	// URL is sqlite:///path/to/file.db or postgres://...
	URL string
	// Key encrypts Secrets at rest.
	Key []byte
	Log *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Store is safe for concurrent use.
type Store struct {
	db     *bun.DB
	reader *bun.DB
	sealer *sealer
	log    *slog.Logger
	now    func() time.Time
	hints  chan string
	masks  masks

	postgres bool
	writes   chan *write
	running  context.Context
	stop     context.CancelFunc
	done     sync.WaitGroup
}

// Meta says which life of which fleet's store this is. WriteMark rises with every write transaction.
type Meta struct {
	FleetID   string
	Epoch     string
	WriteMark uint64
}

// Open connects, migrates, and makes the fleet's id and first epoch where there is none.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	sealer, err := newSealer(cfg.Key)
	if err != nil {
		return nil, err
	}
	s := &Store{sealer: sealer, log: cfg.Log, now: cfg.Now, hints: make(chan string, 1024), writes: make(chan *write)}
	if err := s.connect(ctx, cfg.URL); err != nil {
		return nil, err
	}
	s.running, s.stop = context.WithCancel(context.Background())
	if s.postgres {
		s.done.Go(func() { s.listen(s.running, cfg.URL) })
	} else {
		s.done.Go(func() { s.writeLoop(s.running) })
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// start writes the one row of meta.
func (s *Store) start(ctx context.Context) error {
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		row := &metaRow{ID: 1, FleetID: uuid.NewString(), Epoch: newEpoch()}
		_, err := tx.NewInsert().Model(row).On("CONFLICT (id) DO NOTHING").Exec(ctx)
		return err
	})
}

// Close ends the connections; writes under way are finished.
func (s *Store) Close() error {
	s.stop()
	s.done.Wait()
	err := s.db.Close()
	if s.reader != s.db {
		err = errors.Join(err, s.reader.Close())
	}
	return err
}

// Hints are uids of clusters whose set or commands may have changed. It is lossy: Moved is the truth.
func (s *Store) Hints() <-chan string { return s.hints }

func (s *Store) hint(uid string) {
	select {
	case s.hints <- uid:
	default:
	}
}

// Meta reads which life this is.
func (s *Store) Meta(ctx context.Context) (Meta, error) {
	var row metaRow
	if err := s.reader.NewSelect().Model(&row).Where("id = 1").Scan(ctx); err != nil {
		return Meta{}, fmt.Errorf("cannot read the store's meta: %w", err)
	}
	return Meta{FleetID: row.FleetID, Epoch: row.Epoch, WriteMark: uint64(row.WriteMark)}, nil
}

// AdoptFleet makes this store one of the fleet: an emptied store takes over the id that agents' certificates carry.
func (s *Store) AdoptFleet(ctx context.Context, fleetID string) error {
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*metaRow)(nil)).Set("fleet_id = ?", fleetID).Where("id = 1").Exec(ctx)
		return err
	})
}

// NewEpoch begins a new life of the store: every cluster is relearned.
func (s *Store) NewEpoch(ctx context.Context) (Meta, error) {
	epoch := newEpoch()
	err := s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if s.postgres {
			// Control writes nothing meanwhile: a cluster that it adds is of this epoch or the next, whole. Then clusters in
			// order and meta last, as every write locks them.
			if _, err := tx.ExecContext(ctx, "SELECT 1 FROM leaders FOR UPDATE"); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "SELECT 1 FROM clusters ORDER BY uid FOR UPDATE"); err != nil {
				return err
			}
		}
		if _, err := tx.NewUpdate().Model((*clusterRow)(nil)).Set("epoch = ?", epoch).Set("relearn = ?", true).Set("relearn_report = NULL").
			Set("generation = generation + 1").Where("1 = 1").Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewUpdate().Model((*metaRow)(nil)).Set("epoch = ?", epoch).Where("id = 1").Exec(ctx)
		return err
	})
	if err != nil {
		return Meta{}, fmt.Errorf("cannot begin a new epoch: %w", err)
	}
	return s.Meta(ctx)
}

// Lead extends the leadership of a process, or takes it when nobody holds it. Another process leading is no error.
func (s *Store) Lead(ctx context.Context, process string, ttl time.Duration) (term uint64, leader bool, err error) {
	now := s.now()
	err = s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		row := &leaderRow{ID: 1, Process: process, Term: 1, Until: micros(now.Add(ttl))}
		// One statement, so that two processes cannot both take it.
		result, err := tx.NewInsert().Model(row).On("CONFLICT (id) DO UPDATE").
			Set("term = CASE WHEN leader_row.process = EXCLUDED.process AND leader_row.until >= ? THEN leader_row.term ELSE leader_row.term + 1 END", micros(now)).
			Set("process = EXCLUDED.process").Set("until = EXCLUDED.until").
			Where("leader_row.process = EXCLUDED.process OR leader_row.until < ?", micros(now)).Exec(ctx)
		if err != nil {
			return err
		}
		if changed, err := result.RowsAffected(); err != nil || changed == 0 {
			return err
		}
		var held leaderRow
		if err := tx.NewSelect().Model(&held).Where("id = 1").Scan(ctx); err != nil {
			return err
		}
		term, leader = uint64(held.Term), held.Process == process
		return nil
	})
	if err != nil {
		return 0, false, fmt.Errorf("cannot ask for leadership: %w", err)
	}
	return term, leader, nil
}

// checkTerm refuses a write of a process that leads no more; on PostgreSQL it also keeps another from taking over meanwhile.
func (s *Store) checkTerm(ctx context.Context, tx bun.Tx, term uint64) error {
	var held leaderRow
	query := tx.NewSelect().Model(&held).Where("id = 1")
	if s.postgres {
		query = query.For("SHARE")
	}
	err := query.Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && uint64(held.Term) != term) {
		return ErrStaleTerm
	}
	return err
}

func newEpoch() string {
	raw := make([]byte, 16)
	rand.Read(raw)
	return hex.EncodeToString(raw)
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(value int64) time.Time {
	if value == 0 {
		return time.Time{}
	}
	return time.UnixMicro(value).UTC()
}

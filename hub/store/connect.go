package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed migrations
var migrations embed.FS

// channel of PostgreSQL's NOTIFY.
const channel = "periplus_hints"

const (
	groupWindow = 2 * time.Millisecond
	groupMax    = 256
)

func (s *Store) connect(ctx context.Context, address string) error {
	switch {
	case strings.HasPrefix(address, "sqlite://"):
		return s.connectSQLite(ctx, strings.TrimPrefix(address, "sqlite://"))
	case strings.HasPrefix(address, "postgres://"), strings.HasPrefix(address, "postgresql://"):
		return s.connectPostgres(ctx, address)
	default:
		return fmt.Errorf("cannot open the store: its address must begin with sqlite:// or postgres://")
	}
}

// uriPath escapes what would end the path in SQLite's URI: the file would be another one, without its pragmas.
var uriPath = strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23")

func (s *Store) connectSQLite(ctx context.Context, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("cannot make the store's folder: %w", err)
	}
	// FULL: an acknowledged write survives a loss of power.
	pragmas := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)", "foreign_keys(1)"}}
	dsn := "file:" + uriPath.Replace(path) + "?" + pragmas.Encode()
	writer, err := sql.Open("sqlite", dsn+"&_txlock=immediate")
	if err != nil {
		return fmt.Errorf("cannot open the store %q: %w", path, err)
	}
	writer.SetMaxOpenConns(1)
	reader, err := sql.Open("sqlite", dsn)
	if err != nil {
		return fmt.Errorf("cannot open the store %q: %w", path, err)
	}
	reader.SetMaxOpenConns(8)
	s.db, s.reader = bun.NewDB(writer, sqliteText{sqlitedialect.New()}), bun.NewDB(reader, sqliteText{sqlitedialect.New()})
	if err := migrate(ctx, goose.DialectSQLite3, writer, "sqlite"); err != nil {
		_ = writer.Close()
		_ = reader.Close()
		return fmt.Errorf("cannot open the store %q: %w", path, err)
	}
	return nil
}

func (s *Store) connectPostgres(ctx context.Context, address string) error {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return fmt.Errorf("cannot open the store: %w", err)
	}
	// Values stand in the statements' text, so that hardly two are equal: preparing each would cost a round trip and be of no use.
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(8)
	s.postgres = true
	s.db = bun.NewDB(db, postgresText{pgdialect.New()})
	s.reader = s.db
	if err := migrate(ctx, goose.DialectPostgres, db, "postgres"); err != nil {
		_ = db.Close()
		return fmt.Errorf("cannot open the store: %w", err)
	}
	return nil
}

func migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB, folder string) error {
	files, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		return err
	}
	if dialect == goose.DialectPostgres {
		// Several hub processes start at once; one migrates, the others wait.
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock(727100145)"); err != nil {
			return err
		}
		defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock(727100145)") }()
	}
	provider, err := goose.NewProvider(dialect, db, files)
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("cannot migrate: %w", err)
	}
	return nil
}

// write is one caller's transaction.
type write struct {
	ctx  context.Context
	do   func(context.Context, bun.Tx) error
	done chan error
}

// write runs do in a transaction and returns after its commit.
func (s *Store) write(ctx context.Context, do func(ctx context.Context, tx bun.Tx) error) error {
	if s.postgres {
		return s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			if err := do(ctx, tx); err != nil {
				return err
			}
			return raiseMark(ctx, tx)
		})
	}
	w := &write{ctx: ctx, do: do, done: make(chan error, 1)}
	select {
	case s.writes <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.running.Done():
		return ErrClosed
	}
	return <-w.done
}

func raiseMark(ctx context.Context, tx bun.Tx) error {
	_, err := tx.NewUpdate().Model((*metaRow)(nil)).Set("write_mark = write_mark + 1").Where("id = 1").Exec(ctx)
	return err
}

// writeLoop is SQLite's one writer: it groups what arrives within a few milliseconds into one commit.
func (s *Store) writeLoop(ctx context.Context) {
	for {
		var group []*write
		select {
		case <-ctx.Done():
			return
		case first := <-s.writes:
			group = append(group, first)
		}
		window := time.After(groupWindow)
	gather:
		for len(group) < groupMax {
			select {
			case next := <-s.writes:
				group = append(group, next)
			case <-window:
				break gather
			}
		}
		s.commit(group)
	}
}

// commit runs a group in one transaction. One that fails is undone alone, and the others are kept.
func (s *Store) commit(group []*write) {
	ctx := context.Background()
	results := make([]error, len(group))
	err := s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		for i, w := range group {
			if results[i] = w.ctx.Err(); results[i] != nil {
				continue
			}
			if _, err := tx.ExecContext(ctx, "SAVEPOINT one"); err != nil {
				return err
			}
			if results[i] = runOne(ctx, tx, w.do); results[i] != nil {
				if _, err := tx.ExecContext(ctx, "ROLLBACK TO one"); err != nil {
					return err
				}
			}
			if _, err := tx.ExecContext(ctx, "RELEASE one"); err != nil {
				return err
			}
		}
		return raiseMark(ctx, tx)
	})
	for i, w := range group {
		if err != nil {
			results[i] = err
		}
		w.done <- results[i]
	}
}

// runOne keeps a panic of one write from taking the writer down with everybody waiting for it.
func runOne(ctx context.Context, tx bun.Tx, do func(context.Context, bun.Tx) error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("cannot write: %v", cause)
		}
	}()
	return do(ctx, tx)
}

// listen turns NOTIFY of other processes into hints. A lost connection loses hints only.
func (s *Store) listen(ctx context.Context, address string) {
	for ctx.Err() == nil {
		if err := s.listenOnce(ctx, address); err != nil && ctx.Err() == nil {
			s.log.Warn("cannot listen for hints; polling goes on", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (s *Store) listenOnce(ctx context.Context, address string) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	for {
		notification, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		s.hint(notification.Payload)
	}
}

// notify hints at clusters once their change is committed.
func (s *Store) notify(ctx context.Context, uids ...string) {
	for chunk := range slices.Chunk(uids, readChunk) {
		if s.postgres {
			_, err := s.db.ExecContext(ctx, "SELECT pg_notify(?, uid) FROM unnest(ARRAY[?]) AS uid", channel, bun.List(chunk))
			if err == nil {
				continue
			}
		}
		for _, uid := range chunk {
			s.hint(uid)
		}
	}
}

package store

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// Kinds of words.
const (
	// WordConfirm releases removals; its subject is their cause.
	WordConfirm = "confirm"
	// WordRecover decides about unclaimed bundles; its subject is a cluster's name, or "" for all of the namespace.
	WordRecover = "recover"
)

// Word is what a person decided and control carries out.
type Word struct {
	Namespace string
	Kind      string
	Subject   string
	Decision  string
	Actor     string
	Time      time.Time
}

// AuditRecord is an imperative act.
type AuditRecord struct {
	Time      time.Time
	Actor     string
	Verb      string
	Resource  string
	Namespace string
	Name      string
	Detail    string
}

type wordRow struct {
	bun.BaseModel `bun:"table:words,alias:words"`
	Namespace     string `bun:",pk"`
	Kind          string `bun:",pk"`
	Subject       string `bun:",pk"`
	Decision      string
	Actor         string
	Time          int64
}

type auditRow struct {
	bun.BaseModel `bun:"table:audit,alias:audit"`
	ID            int64 `bun:",pk,autoincrement"`
	Time          int64
	Actor         string
	Verb          string
	Resource      string
	Namespace     string
	Name          string
	Detail        string
}

// PutWord records a person's word over an earlier one on the same subject.
func (s *Store) PutWord(ctx context.Context, w Word) error {
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		row := &wordRow{Namespace: w.Namespace, Kind: w.Kind, Subject: w.Subject, Decision: w.Decision, Actor: w.Actor, Time: micros(w.Time)}
		_, err := tx.NewInsert().Model(row).On("CONFLICT (namespace, kind, subject) DO UPDATE").Set("decision = EXCLUDED.decision").
			Set("actor = EXCLUDED.actor").Set("time = EXCLUDED.time").Exec(ctx)
		return err
	})
}

// Words of a kind in a namespace, by subject.
func (s *Store) Words(ctx context.Context, namespace, kind string) (map[string]Word, error) {
	var rows []*wordRow
	if err := s.reader.NewSelect().Model(&rows).Where("namespace = ? AND kind = ?", namespace, kind).Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot read decisions: %w", err)
	}
	out := map[string]Word{}
	for _, row := range rows {
		out[row.Subject] = Word{Namespace: row.Namespace, Kind: row.Kind, Subject: row.Subject, Decision: row.Decision, Actor: row.Actor, Time: fromMicros(row.Time)}
	}
	return out, nil
}

// ForgetWord drops a word that was carried out, so that it does not decide about what comes later.
func (s *Store) ForgetWord(ctx context.Context, namespace, kind, subject string) error {
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewDelete().Table("words").Where("namespace = ? AND kind = ? AND subject = ?", namespace, kind, subject).Exec(ctx)
		return err
	})
}

// Audit records an imperative act.
func (s *Store) Audit(ctx context.Context, r AuditRecord) error {
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		row := &auditRow{Time: micros(r.Time), Actor: r.Actor, Verb: r.Verb, Resource: r.Resource, Namespace: r.Namespace, Name: r.Name, Detail: r.Detail}
		_, err := tx.NewInsert().Model(row).Exec(ctx)
		return err
	})
}

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/periplus-fleet/periplus/hub/chart/record"
)

// A record is used again at least once a day that its bundle is rendered; chartUnused is when one of an older content of the
// same bundle goes.
const (
	chartTouch  = 24 * time.Hour
	chartUnused = 90 * 24 * time.Hour
)

type chartRow struct {
	bun.BaseModel `bun:"table:charts,alias:charts"`
	Bundle        string `bun:",pk"`
	Content       string `bun:",pk"`
	Source        string `bun:",pk"`
	Version       string
	Digest        string
	URL           string `bun:"url"`
	Used          int64
}

// ChartRecord returns which version of a chart was resolved for a bundle's content; ok is false where none was.
func (s *Store) ChartRecord(ctx context.Context, key record.Key) (found record.Resolved, ok bool, err error) {
	row := &chartRow{}
	err = s.reader.NewSelect().Model(row).Where("bundle = ? AND content = ? AND source = ?", key.Bundle, key.Content, key.Source).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return record.Resolved{}, false, nil
	}
	if err != nil {
		return record.Resolved{}, false, fmt.Errorf("cannot read the chart of bundle %q: %w", key.Bundle, err)
	}
	if now := s.now(); now.Sub(fromMicros(row.Used)) > chartTouch {
		if err := s.touchChart(ctx, key, now); err != nil {
			return record.Resolved{}, false, err
		}
	}
	return record.Resolved{Version: row.Version, Digest: row.Digest, URL: row.URL}, true, nil
}

func (s *Store) touchChart(ctx context.Context, key record.Key, now time.Time) error {
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*chartRow)(nil)).Set("used = ?", micros(now)).
			Where("bundle = ? AND content = ? AND source = ?", key.Bundle, key.Content, key.Source).Exec(ctx)
		return err
	})
}

// PutChartRecord writes what was resolved, and returns it, or what another process wrote first. Records of the bundle's older
// contents that nobody used for long go.
func (s *Store) PutChartRecord(ctx context.Context, key record.Key, resolved record.Resolved) (record.Resolved, error) {
	now := s.now()
	row := &chartRow{Bundle: key.Bundle, Content: key.Content, Source: key.Source, Version: resolved.Version, Digest: resolved.Digest,
		URL: resolved.URL, Used: micros(now)}
	err := s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(row).On("CONFLICT (bundle, content, source) DO NOTHING").Exec(ctx); err != nil {
			return err
		}
		if err := tx.NewSelect().Model(row).WherePK().Scan(ctx); err != nil {
			return err
		}
		_, err := tx.NewDelete().Model((*chartRow)(nil)).Where("bundle = ? AND used < ?", key.Bundle, micros(now.Add(-chartUnused))).Exec(ctx)
		return err
	})
	if err != nil {
		return record.Resolved{}, fmt.Errorf("cannot record the chart of bundle %q: %w", key.Bundle, err)
	}
	return record.Resolved{Version: row.Version, Digest: row.Digest, URL: row.URL}, nil
}

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"
	"google.golang.org/protobuf/proto"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

type queryRow struct {
	bun.BaseModel `bun:"table:queries,alias:queries"`
	ID            string `bun:",pk"`
	ClusterUID    string `bun:"cluster_uid"`
	Query         []byte
	Deadline      int64
	Process       string
}

type answerRow struct {
	bun.BaseModel `bun:"table:answers,alias:answers"`
	Query         string `bun:",pk"`
	Part          int64  `bun:",pk"`
	Data          []byte
}

// abandoned is how long after its deadline a query that a process works on goes: whoever asked ends it by then, unless it died.
const abandoned = time.Minute

// maxUnread is how many parts of an answer wait to be read; whoever writes more waits.
const maxUnread = 32

// Shared says that other processes may use this store too.
func (s *Store) Shared() bool { return s.postgres }

// PutQuery leaves a query for the process that has the cluster's stream.
func (s *Store) PutQuery(ctx context.Context, uid string, query *linkv1.Query) error {
	data, err := proto.Marshal(query)
	if err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&queryRow{ID: query.GetId(), ClusterUID: uid, Query: data, Deadline: micros(query.GetDeadline().AsTime())}).Exec(ctx)
		return err
	})
}

// TakeQueries gives a process the open queries of the clusters whose streams it has. What nobody took in time goes, and
// what was asked by a process that died before it read the answer.
func (s *Store) TakeQueries(ctx context.Context, process string, has func(uid string) bool) (map[string][]*linkv1.Query, error) {
	var rows []*queryRow
	open := s.reader.NewSelect().Model(&rows).Where("process = ''").WhereOr("deadline < ?", micros(s.now().Add(-abandoned)))
	if err := open.Order("deadline").Limit(1000).Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot read queries: %w", err)
	}
	taken := map[string][]*linkv1.Query{}
	for _, row := range rows {
		if late := fromMicros(row.Deadline).Before(s.now()); late {
			if err := s.EndQuery(ctx, row.ID); err != nil {
				return taken, err
			}
			continue
		}
		if !has(row.ClusterUID) {
			continue
		}
		mine := false
		err := s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
			result, err := tx.NewUpdate().Model((*queryRow)(nil)).Set("process = ?", process).Where("id = ? AND process = ''", row.ID).Exec(ctx)
			if err != nil {
				return err
			}
			changed, err := result.RowsAffected()
			mine = changed == 1
			return err
		})
		if err != nil {
			return taken, err
		}
		query := &linkv1.Query{}
		if !mine || proto.Unmarshal(row.Query, query) != nil {
			continue
		}
		taken[row.ClusterUID] = append(taken[row.ClusterUID], query)
	}
	return taken, nil
}

// PutAnswer leaves a part of an answer, encrypted. ErrNotFound says that nobody waits for it any more. It waits while too many
// parts are not read yet.
func (s *Store) PutAnswer(ctx context.Context, id string, part int, result *linkv1.QueryResult) error {
	data, err := proto.Marshal(result)
	if err != nil {
		return err
	}
	for {
		unread, err := s.reader.NewSelect().Model((*answerRow)(nil)).Where("query = ?", id).Count(ctx)
		if err != nil {
			return err
		}
		if unread < maxUnread {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		waits, err := tx.NewSelect().Model((*queryRow)(nil)).Where("id = ?", id).Exists(ctx)
		if err != nil {
			return err
		}
		if !waits {
			return fmt.Errorf("query %q: %w", id, ErrNotFound)
		}
		_, err = tx.NewInsert().Model(&answerRow{Query: id, Part: int64(part), Data: s.sealer.sealNamed([]byte(id), data)}).Exec(ctx)
		return err
	})
}

// TakeAnswer reads a part of an answer, once; false while it is not there. taken says whether a process works on the query.
func (s *Store) TakeAnswer(ctx context.Context, id string, part int) (result *linkv1.QueryResult, taken, ok bool, err error) {
	row := &answerRow{}
	err = s.reader.NewSelect().Model(row).Where("query = ? AND part = ?", id, part).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		query := &queryRow{}
		err := s.reader.NewSelect().Model(query).Where("id = ?", id).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, false, false, fmt.Errorf("query %q: %w", id, ErrNotFound)
		}
		return nil, query.Process != "", false, err
	}
	if err != nil {
		return nil, false, false, err
	}
	data, err := s.sealer.openNamed([]byte(id), row.Data)
	if err != nil {
		return nil, true, false, err
	}
	result = &linkv1.QueryResult{}
	if err := proto.Unmarshal(data, result); err != nil {
		return nil, true, false, err
	}
	err = s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewDelete().Model((*answerRow)(nil)).Where("query = ? AND part = ?", id, part).Exec(ctx)
		return err
	})
	return result, true, true, err
}

// EndQuery forgets a query and its answer: whoever works on it stops.
func (s *Store) EndQuery(ctx context.Context, id string) error {
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewDelete().Model((*queryRow)(nil)).Where("id = ?", id).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewDelete().Model((*answerRow)(nil)).Where("query = ?", id).Exec(ctx)
		return err
	})
}

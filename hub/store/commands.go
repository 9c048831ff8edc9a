package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"
	"google.golang.org/protobuf/encoding/protojson"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

type commandRow struct {
	bun.BaseModel `bun:"table:commands,alias:commands"`
	ID            string `bun:",pk"`
	ClusterUID    string `bun:"cluster_uid"`
	Command       []byte
	Created       int64
	Deadline      int64
	Answered      bool
	Failure       string
}

// PutCommand leaves a command for a cluster's agent.
func (s *Store) PutCommand(ctx context.Context, uid string, command *linkv1.Command) error {
	data, err := protojson.Marshal(command)
	if err != nil {
		return err
	}
	err = s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&commandRow{ID: command.GetId(), ClusterUID: uid, Command: data, Created: micros(s.now()),
			Deadline: micros(command.GetDeadline().AsTime())}).Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot leave a command for cluster %q: %w", uid, err)
	}
	s.notify(ctx, uid)
	return nil
}

// PendingCommands are those of a cluster that wait for an answer and are not too late.
func (s *Store) PendingCommands(ctx context.Context, uid string) ([]*linkv1.Command, error) {
	var rows []*commandRow
	err := s.reader.NewSelect().Model(&rows).Where("cluster_uid = ? AND answered = ? AND deadline > ?", uid, false, micros(s.now())).Order("created", "id").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read commands of cluster %q: %w", uid, err)
	}
	var out []*linkv1.Command
	for _, row := range rows {
		command := &linkv1.Command{}
		if err := protojson.Unmarshal(row.Command, command); err != nil {
			return nil, fmt.Errorf("cannot read command %q: %w", row.ID, err)
		}
		out = append(out, command)
	}
	return out, nil
}

// AnswerCommand records what became of a command; failure is "" on success.
func (s *Store) AnswerCommand(ctx context.Context, id, failure string) error {
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*commandRow)(nil)).Set("answered = ?", true).Set("failure = ?", failure).Where("id = ? AND answered = ?", id, false).Exec(ctx)
		return err
	})
}

// CommandAnswer is what became of a command.
func (s *Store) CommandAnswer(ctx context.Context, id string) (failure string, done bool, err error) {
	row := &commandRow{}
	err = s.reader.NewSelect().Model(row).Where("id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, fmt.Errorf("command %q: %w", id, ErrNotFound)
	}
	return row.Failure, row.Answered, err
}

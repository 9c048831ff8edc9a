package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"github.com/periplus-fleet/periplus/hub/render/generated"
)

type generatedRow struct {
	bun.BaseModel `bun:"table:generated,alias:generated"`
	ClusterUID    string `bun:"cluster_uid,pk"`
	Bundle        string `bun:",pk"`
	Object        string `bun:",pk"`
	Pointer       string `bun:",pk"`
	Value         []byte
}

// name binds an encrypted value to its place.
func (r *generatedRow) name() []byte {
	return []byte(strings.Join([]string{r.ClusterUID, r.Bundle, r.Object, r.Pointer}, "\n"))
}

// Generated are the values that renderers made up for a pair.
func (s *Store) Generated(ctx context.Context, pair generated.Pair) (generated.Values, error) {
	values, err := s.generated(ctx, s.reader, pair)
	if err != nil {
		return nil, fmt.Errorf("cannot read what was generated for bundle %q: %w", pair.Bundle, err)
	}
	return values, nil
}

// PutGenerated keeps values, encrypted, and returns all of the pair. Of a field that has a value already, by this process or
// another, the first one counts.
func (s *Store) PutGenerated(ctx context.Context, pair generated.Pair, values generated.Values) (all generated.Values, err error) {
	rows := make([]*generatedRow, 0, len(values))
	for field, value := range values {
		object, err := json.Marshal(field.Object)
		if err != nil {
			return nil, err
		}
		row := &generatedRow{ClusterUID: pair.ClusterUID, Bundle: pair.Bundle, Object: string(object), Pointer: field.Pointer}
		row.Value = s.sealer.sealNamed(row.name(), value)
		rows = append(rows, row)
	}
	err = s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if len(rows) > 0 {
			if _, err := tx.NewInsert().Model(&rows).On("CONFLICT (cluster_uid, bundle, object, pointer) DO NOTHING").Exec(ctx); err != nil {
				return err
			}
		}
		var err error
		all, err = s.generated(ctx, tx, pair)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot keep what was generated for bundle %q: %w", pair.Bundle, err)
	}
	return all, nil
}

func (s *Store) generated(ctx context.Context, db bun.IDB, pair generated.Pair) (generated.Values, error) {
	var rows []*generatedRow
	if err := db.NewSelect().Model(&rows).Where("cluster_uid = ? AND bundle = ?", pair.ClusterUID, pair.Bundle).Scan(ctx); err != nil {
		return nil, err
	}
	values := make(generated.Values, len(rows))
	for _, row := range rows {
		field := generated.Field{Pointer: row.Pointer}
		if err := json.Unmarshal([]byte(row.Object), &field.Object); err != nil {
			return nil, err
		}
		value, err := s.sealer.openNamed(row.name(), row.Value)
		if err != nil {
			return nil, err
		}
		values[field] = value
	}
	return values, nil
}

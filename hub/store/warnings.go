package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/uptrace/bun"

	"github.com/periplus-fleet/periplus/hub/delivery"
)

// PutWarnings keeps what renderers warn of in bundles, instead of what they warned of before; what is equal costs no write.
func (s *Store) PutWarnings(ctx context.Context, term uint64, warnings map[delivery.Key]delivery.Warnings) error {
	changed := map[delivery.Key]string{}
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(warnings)), readChunk) {
		var rows []*bundleRow
		if err := s.reader.NewSelect().Model(&rows).Column("bundle", "warnings").Where("bundle IN (?)", bun.List(keys)).Scan(ctx); err != nil {
			return fmt.Errorf("cannot read warnings: %w", err)
		}
		for _, row := range rows {
			key, text := delivery.Key(row.Bundle), ""
			if warnings[key].Count > 0 {
				data, err := json.Marshal(warnings[key])
				if err != nil {
					return err
				}
				text = string(data)
			}
			if text != row.Warnings {
				changed[key] = text
			}
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.checkTerm(ctx, tx, term); err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(changed)) {
			if _, err := tx.NewUpdate().Model((*bundleRow)(nil)).Set("warnings = ?", changed[key]).Where("bundle = ?", string(key)).Exec(ctx); err != nil {
				return fmt.Errorf("cannot write the warnings of bundle %q: %w", key, err)
			}
		}
		return nil
	})
}

package store

import (
	"context"
	"fmt"
)

// Count is how many rows share what its other fields say.
type Count struct {
	Namespace string
	// State of deliveries; "connected" or "silent" of clusters.
	State string
	Count int64
}

// CountDeliveries by namespace and state. It reads an index, not the rows.
func (s *Store) CountDeliveries(ctx context.Context) ([]Count, error) {
	var out []Count
	err := s.db.NewSelect().Table("deliveries").ColumnExpr("namespace, state, COUNT(*) AS count").
		GroupExpr("namespace, state").OrderExpr("namespace, state").Scan(ctx, &out)
	if err != nil {
		return nil, fmt.Errorf("cannot count deliveries: %w", err)
	}
	return out, nil
}

// CountClusters by namespace and whether their agents are connected.
func (s *Store) CountClusters(ctx context.Context) ([]Count, error) {
	var out []Count
	err := s.db.NewSelect().Table("clusters").ColumnExpr("namespace, CASE WHEN connected THEN 'connected' ELSE 'silent' END AS state, COUNT(*) AS count").
		GroupExpr("1, 2").OrderExpr("1, 2").Scan(ctx, &out)
	if err != nil {
		return nil, fmt.Errorf("cannot count clusters: %w", err)
	}
	return out, nil
}

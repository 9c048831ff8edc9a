package store

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"
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

// StateCount is how many deliveries of one bundle, or on one cluster, are in a state.
type StateCount struct {
	// Of is the bundle's key, or the cluster's uid.
	Of    string
	State string
	Count int32
}

// CountByBundle counts a namespace's deliveries by bundle and state. It reads an index, not the rows.
func (s *Store) CountByBundle(ctx context.Context, namespace string) ([]StateCount, error) {
	return s.countStates(ctx, namespace, "bundle")
}

// CountByCluster counts a namespace's deliveries by cluster and state. It reads an index, not the rows.
func (s *Store) CountByCluster(ctx context.Context, namespace string) ([]StateCount, error) {
	return s.countStates(ctx, namespace, "cluster_uid")
}

func (s *Store) countStates(ctx context.Context, namespace, column string) ([]StateCount, error) {
	var out []StateCount
	err := s.reader.NewSelect().Table("deliveries").ColumnExpr("? AS \"of\", state, COUNT(*) AS count", bun.Ident(column)).
		Where("namespace = ?", namespace).GroupExpr("1, 2").OrderExpr("1, 2").Scan(ctx, &out)
	if err != nil {
		return nil, fmt.Errorf("cannot count deliveries of namespace %q: %w", namespace, err)
	}
	return out, nil
}

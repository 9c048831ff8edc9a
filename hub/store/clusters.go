package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/uptrace/bun"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/hub/delivery"
)

// UpsertClusters takes over uid, namespace, name and labels of FleetClusters. A new cluster has an empty set at generation 1.
func (s *Store) UpsertClusters(ctx context.Context, term uint64, clusters []delivery.Cluster) error {
	known, err := s.clustersOf(ctx, clusters)
	if err != nil {
		return err
	}
	same := map[string]delivery.Cluster{}
	for _, cluster := range known {
		same[cluster.UID] = cluster
	}
	var changed []delivery.Cluster
	for _, cluster := range clusters {
		have, ok := same[cluster.UID]
		if !ok || have.Name != cluster.Name || have.Namespace != cluster.Namespace || !maps.Equal(have.Labels, cluster.Labels) {
			changed = append(changed, cluster)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.checkTerm(ctx, tx, term); err != nil {
			return err
		}
		var meta metaRow
		if err := tx.NewSelect().Model(&meta).Where("id = 1").Scan(ctx); err != nil {
			return err
		}
		for _, cluster := range changed {
			labels, err := json.Marshal(cluster.Labels)
			if err != nil {
				return err
			}
			if cluster.Labels == nil {
				labels = []byte("{}")
			}
			var empty content.Hash
			row := &clusterRow{UID: cluster.UID, Namespace: cluster.Namespace, Name: cluster.Name, Labels: string(labels), Epoch: meta.Epoch,
				Generation: 1, SetHash: empty[:], APIVersions: "[]"}
			_, err = tx.NewInsert().Model(row).On("CONFLICT (uid) DO UPDATE").Set("namespace = EXCLUDED.namespace").
				Set("name = EXCLUDED.name").Set("labels = EXCLUDED.labels").Exec(ctx)
			if err != nil {
				return fmt.Errorf("cannot write cluster %q: %w", cluster.Name, err)
			}
		}
		return nil
	})
}

// RemoveCluster drops every row of a cluster; history stays.
func (s *Store) RemoveCluster(ctx context.Context, term uint64, uid string) error {
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.checkTerm(ctx, tx, term); err != nil {
			return err
		}
		// Its agent's reports wait, so that none leaves rows behind.
		if _, err := s.lockCluster(ctx, tx, uid); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		for _, table := range []string{"objects", "policy_results", "generated", "deliveries", "commands", "certificates", "tokens"} {
			if _, err := tx.NewDelete().Table(table).Where("cluster_uid = ?", uid).Exec(ctx); err != nil {
				return err
			}
		}
		_, err := tx.NewDelete().Table("clusters").Where("uid = ?", uid).Exec(ctx)
		return err
	})
}

// Cluster by uid; ErrNotFound where there is none.
func (s *Store) Cluster(ctx context.Context, uid string) (delivery.Cluster, error) {
	row, err := s.clusterRow(ctx, s.reader, uid)
	if err != nil {
		return delivery.Cluster{}, err
	}
	return row.cluster()
}

func (s *Store) clusterRow(ctx context.Context, db bun.IDB, uid string) (*clusterRow, error) {
	row := &clusterRow{}
	err := db.NewSelect().Model(row).Where("uid = ?", uid).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("cluster %q: %w", uid, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read cluster %q: %w", uid, err)
	}
	return row, nil
}

// Clusters of a namespace, by name; "" is all.
func (s *Store) Clusters(ctx context.Context, namespace string) ([]delivery.Cluster, error) {
	var rows []*clusterRow
	query := s.reader.NewSelect().Model(&rows).ExcludeColumn("relearn_report").Order("namespace", "name", "uid")
	if namespace != "" {
		query = query.Where("namespace = ?", namespace)
	}
	if err := query.Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot read clusters: %w", err)
	}
	out := make([]delivery.Cluster, 0, len(rows))
	for _, row := range rows {
		cluster, err := row.cluster()
		if err != nil {
			return nil, err
		}
		out = append(out, cluster)
	}
	return out, nil
}

// clustersOf are the rows of some clusters, and perhaps of others.
func (s *Store) clustersOf(ctx context.Context, some []delivery.Cluster) ([]delivery.Cluster, error) {
	if len(some) > readChunk {
		return s.Clusters(ctx, "")
	}
	out := make([]delivery.Cluster, 0, len(some))
	for _, one := range some {
		cluster, err := s.Cluster(ctx, one.UID)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, cluster)
	}
	return out, nil
}

// Facts are what an agent reported of its cluster.
type Facts struct {
	KubernetesVersion string
	APIVersions       []string
}

// Facts of a cluster; empty ones where nothing was reported.
func (s *Store) Facts(ctx context.Context, uid string) (Facts, error) {
	cluster, err := s.Cluster(ctx, uid)
	if errors.Is(err, ErrNotFound) {
		return Facts{}, nil
	}
	return Facts{KubernetesVersion: cluster.KubernetesVersion, APIVersions: cluster.APIVersions}, err
}

// FactMarks tell a namespace's clusters apart by what their agents reported, at little cost: where a mark is another, so are
// the facts. A change that keeps the mark is seen at the next full plan.
func (s *Store) FactMarks(ctx context.Context, namespace string) (map[string]string, error) {
	var rows []struct {
		UID               string `bun:"uid"`
		KubernetesVersion string
		Size              int64
	}
	err := s.reader.NewSelect().Table("clusters").Column("uid", "kubernetes_version").ColumnExpr("length(api_versions) AS size").
		Where("namespace = ?", namespace).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("cannot read the facts of clusters: %w", err)
	}
	out := make(map[string]string, len(rows))
	for _, row := range rows {
		out[row.UID] = fmt.Sprint(row.KubernetesVersion, " ", row.Size)
	}
	return out, nil
}

// PolicyPoints are the points at which agents of a namespace's clusters evaluate policies, by the clusters' uid; a cluster whose
// agent evaluates none is not there.
func (s *Store) PolicyPoints(ctx context.Context, namespace string) (map[string][]string, error) {
	var rows []struct {
		UID          string `bun:"uid"`
		PolicyPoints string
	}
	err := s.reader.NewSelect().Table("clusters").Column("uid", "policy_points").Where("namespace = ? AND policy_points <> ''", namespace).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("cannot read where policies are evaluated: %w", err)
	}
	out := make(map[string][]string, len(rows))
	for _, row := range rows {
		out[row.UID] = strings.Split(row.PolicyPoints, ",")
	}
	return out, nil
}

// PutBundles writes bundles in force; what is equal costs nothing.
func (s *Store) PutBundles(ctx context.Context, term uint64, bundles []delivery.Bundle) error {
	known, err := s.Bundles(ctx, "")
	if err != nil {
		return err
	}
	have := map[delivery.Key]delivery.Bundle{}
	for _, bundle := range known {
		have[bundle.Key] = bundle
	}
	var changed []*bundleRow
	for _, b := range bundles {
		old, ok := have[b.Key]
		if ok && old.Repo == b.Repo && old.Path == b.Path && old.Commit == b.Commit && old.TreeHash == b.TreeHash && old.Frozen == b.Frozen &&
			string(old.Spec) == string(b.Spec) {
			continue
		}
		namespace, name, _ := strings.Cut(string(b.Key), "/")
		changed = append(changed, &bundleRow{Bundle: string(b.Key), Namespace: namespace, Name: name, Repo: b.Repo, Path: b.Path,
			CommitSha: b.Commit, TreeHash: b.TreeHash, Spec: b.Spec, Frozen: b.Frozen})
	}
	if len(changed) == 0 {
		return nil
	}
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.checkTerm(ctx, tx, term); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&changed).On("CONFLICT (bundle) DO UPDATE").Set("repo = EXCLUDED.repo").Set("path = EXCLUDED.path").
			Set("commit_sha = EXCLUDED.commit_sha").Set("tree_hash = EXCLUDED.tree_hash").Set("spec = EXCLUDED.spec").
			Set("frozen = EXCLUDED.frozen").Exec(ctx)
		return err
	})
}

// RemoveBundle forgets a bundle that no cluster has any more.
func (s *Store) RemoveBundle(ctx context.Context, term uint64, key delivery.Key) error {
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.checkTerm(ctx, tx, term); err != nil {
			return err
		}
		// Values were generated for clusters that never got the bundle, too.
		for _, table := range []string{"generated", "bundles"} {
			if _, err := tx.NewDelete().Table(table).Where("bundle = ?", string(key)).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// Bundles in force of a repo (namespace/name); "" is all.
func (s *Store) Bundles(ctx context.Context, repo string) ([]delivery.Bundle, error) {
	var rows []*bundleRow
	query := s.reader.NewSelect().Model(&rows).Order("bundle")
	if repo != "" {
		query = query.Where("repo = ?", repo)
	}
	if err := query.Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot read bundles: %w", err)
	}
	out := make([]delivery.Bundle, 0, len(rows))
	for _, row := range rows {
		bundle, err := row.bundle()
		if err != nil {
			return nil, err
		}
		out = append(out, bundle)
	}
	return out, nil
}

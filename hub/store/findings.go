package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// reportPolicy records what an agent found: results of audit stand until they are gone, decisions at admission are history.
func (s *Store) reportPolicy(ctx context.Context, tx bun.Tx, cluster *clusterRow, report *linkv1.PolicyReport) error {
	if report == nil {
		return nil
	}
	if report.GetFull() {
		if _, err := tx.NewDelete().Table("policy_results").Where("cluster_uid = ? AND point = ?", cluster.UID, engine.PointAudit).Exec(ctx); err != nil {
			return err
		}
	}
	var found []*policyRow
	var decided []delivery.Event
	for _, r := range report.GetUpserts() {
		if r.GetKey().GetPoint() == engine.PointAudit {
			found = append(found, findingRow(cluster, r))
			continue
		}
		decided = append(decided, decisionOf(cluster, r))
	}
	for rows := range slices.Chunk(found, writeRows) {
		_, err := tx.NewInsert().Model(&rows).On("CONFLICT (cluster_uid, policy, object_group, kind, object_namespace, name, finding) WHERE point <> 'gate' DO UPDATE").
			Set("action = EXCLUDED.action").Set("result = EXCLUDED.result").Set("message = EXCLUDED.message").Set("policy_source = EXCLUDED.policy_source").
			Set("exemption = EXCLUDED.exemption").Set("revision = EXCLUDED.revision").Exec(ctx)
		if err != nil {
			return fmt.Errorf("cannot record what audit found: %w", err)
		}
	}
	for _, key := range report.GetGone() {
		o := key.GetObject()
		_, err := tx.NewDelete().Table("policy_results").Where("cluster_uid = ? AND point <> ? AND policy = ? AND object_group = ? AND kind = ? AND object_namespace = ? AND name = ? AND finding = ?",
			cluster.UID, engine.PointGate, key.GetPolicy(), o.GetGroup(), o.GetKind(), o.GetNamespace(), o.GetName(), key.GetId()).Exec(ctx)
		if err != nil {
			return err
		}
	}
	if problems := strings.Join(report.GetProblems(), "\n"); problems != cluster.PolicyProblems {
		if _, err := tx.NewUpdate().Model((*clusterRow)(nil)).Set("policy_problems = ?", problems).Where("uid = ?", cluster.UID).Exec(ctx); err != nil {
			return err
		}
	}
	return s.writeEvents(ctx, tx, decided)
}

func findingRow(cluster *clusterRow, r *linkv1.PolicyResult) *policyRow {
	o := r.GetKey().GetObject()
	row := &policyRow{ClusterUID: cluster.UID, Namespace: cluster.Namespace, Cluster: cluster.Name, Policy: r.GetKey().GetPolicy(),
		Action: r.GetAction(), Result: r.GetResult(), ObjectGroup: o.GetGroup(), Kind: o.GetKind(), ObjectNamespace: o.GetNamespace(), Name: o.GetName(),
		Message: r.GetMessage(), PolicySource: fmt.Sprintf("%s:%d", r.GetFile(), r.GetLine()), Exemption: r.GetExemption(),
		Point: r.GetKey().GetPoint(), Finding: r.GetKey().GetId(), Revision: r.GetRevision()}
	if r.GetTime() != nil {
		row.Time = micros(r.GetTime().AsTime())
	}
	return row
}

// decisionOf is a decision about a request, as history.
func decisionOf(cluster *clusterRow, r *linkv1.PolicyResult) delivery.Event {
	o := r.GetKey().GetObject()
	id := content.ObjectID{Group: o.GetGroup(), Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}
	row := findingRow(cluster, r)
	finding := engine.Finding{Policy: row.Policy, Action: v1alpha1.PolicyAction(row.Action), Result: row.Result, Message: row.Message, Rule: r.GetRule(),
		File: r.GetFile(), Line: int(r.GetLine()), Exemption: row.Exemption}
	kind := "RequestWarned"
	switch {
	case finding.Denies():
		kind = "RequestDenied"
	case row.Result == engine.ResultSkip:
		kind = "RequestExempted"
	}
	return delivery.Event{Time: fromMicros(row.Time), Namespace: cluster.Namespace, Cluster: cluster.Name, Type: kind, From: r.GetOperation(),
		To: id.String(), Actor: r.GetUser(), Message: fmt.Sprintf("%s, of policies %.19s", finding.Sentence(id), r.GetRevision())}
}

// PolicyCount says how often policies found something, by policy, action and result.
type PolicyCount struct {
	Policy, Action, Result, Point string
	Count                         int64
}

// CountPolicyResults of a namespace.
func (s *Store) CountPolicyResults(ctx context.Context, namespace string) ([]PolicyCount, error) {
	var out []PolicyCount
	err := s.reader.NewSelect().Table("policy_results").Column("policy", "action", "result", "point").ColumnExpr("count(*) AS count").
		Where("namespace = ?", namespace).Group("policy", "action", "result", "point").Scan(ctx, &out)
	if err != nil {
		return nil, fmt.Errorf("cannot count policies' results: %w", err)
	}
	return out, nil
}

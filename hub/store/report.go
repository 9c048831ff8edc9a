package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
)

// Report records an agent's status, without the secret values that it quotes. It does nothing when (session, sequence) is not newer than what is recorded.
func (s *Store) Report(ctx context.Context, uid string, session, sequence uint64, report *linkv1.StatusReport) (applied bool, err error) {
	if report, err = s.masked(ctx, report); err != nil {
		return false, fmt.Errorf("cannot record the status of cluster %q: %w", uid, err)
	}
	err = s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		applied = false
		row, err := s.lockCluster(ctx, tx, uid)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil || uint64(row.Session) != session || uint64(row.Sequence) >= sequence {
			return err
		}
		applied = true
		if err := s.reportCluster(ctx, tx, row, sequence, report); err != nil {
			return err
		}
		if report.GetFull() {
			if err := s.forgetUnreported(ctx, tx, row, report); err != nil {
				return err
			}
		}
		for _, status := range report.GetBundles() {
			if err := s.reportBundle(ctx, tx, row, status); err != nil {
				return err
			}
		}
		if err := s.reportPolicy(ctx, tx, row, report.GetPolicy()); err != nil {
			return err
		}
		for _, bundle := range report.GetRemoved() {
			if err := s.reportRemoved(ctx, tx, row, bundle); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("cannot record the status of cluster %q: %w", uid, err)
	}
	return applied, nil
}

func (s *Store) reportCluster(ctx context.Context, tx bun.Tx, row *clusterRow, sequence uint64, report *linkv1.StatusReport) error {
	update := tx.NewUpdate().Model((*clusterRow)(nil)).Set("sequence = ?", int64(sequence)).Set("last_seen = ?", micros(s.now())).Where("uid = ?", row.UID)
	if facts := report.GetFacts(); facts != nil {
		apis, err := json.Marshal(append([]string{}, facts.GetApiVersions()...))
		if err != nil {
			return err
		}
		update = update.Set("kubernetes_version = ?", facts.GetKubernetesVersion()).Set("api_versions = ?", string(apis)).Set("nodes = ?", facts.GetNodes()).
			Set("policy_points = ?", strings.Join(facts.GetPolicyPoints(), ","))
	}
	_, err := update.Exec(ctx)
	return err
}

// SaveFacts records what an agent said of itself when it connected.
func (s *Store) SaveFacts(ctx context.Context, uid string, session uint64, hello *linkv1.Hello) error {
	apis, err := json.Marshal(append([]string{}, hello.GetFacts().GetApiVersions()...))
	if err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		update := tx.NewUpdate().Model((*clusterRow)(nil)).Set("agent_version = ?", hello.GetAgentVersion()).
			Where("uid = ? AND session = ?", uid, int64(session))
		if hello.GetFacts() != nil {
			update = update.Set("kubernetes_version = ?", hello.GetFacts().GetKubernetesVersion()).Set("api_versions = ?", string(apis)).
				Set("nodes = ?", hello.GetFacts().GetNodes()).Set("policy_points = ?", strings.Join(hello.GetFacts().GetPolicyPoints(), ","))
		}
		_, err := update.Exec(ctx)
		return err
	})
}

// forgetUnreported clears what was recorded of bundles that a full report does not name.
func (s *Store) forgetUnreported(ctx context.Context, tx bun.Tx, row *clusterRow, report *linkv1.StatusReport) error {
	names := []string{""}
	for _, status := range report.GetBundles() {
		names = append(names, status.GetBundle())
	}
	if _, err := tx.NewDelete().Table("objects").Where("cluster_uid = ? AND bundle NOT IN (?)", row.UID, bun.List(names)).Exec(ctx); err != nil {
		return err
	}
	var gone []*deliveryRow
	err := tx.NewSelect().Model(&gone).Where("cluster_uid = ? AND observed_state <> '' AND bundle NOT IN (?)", row.UID, bun.List(names)).Scan(ctx)
	if err != nil {
		return err
	}
	for _, row := range gone {
		d, err := row.delivery()
		if err != nil {
			return err
		}
		d.Observed = delivery.Observed{}
		if err := writeObserved(ctx, tx, d); err != nil {
			return err
		}
	}
	return nil
}

// writeObserved writes what an agent last said of a pair, and the state that follows from it.
func writeObserved(ctx context.Context, tx bun.Tx, d delivery.Delivery) error {
	o := d.Observed
	hold := delivery.PruneHold{}
	if o.PruneHold != nil {
		hold = *o.PruneHold
	}
	_, err := tx.NewUpdate().Model((*deliveryRow)(nil)).Where("cluster_uid = ? AND bundle = ?", d.ClusterUID, string(d.Bundle)).
		Set("observed_revision = ?", string(o.Revision)).Set("applied_revision = ?", string(o.AppliedRevision)).
		Set("observed_state = ?", o.State).Set("observed_message = ?", o.Message).Set("observed_changed = ?", micros(o.ChangedAt)).
		Set("objects = ?", o.Counts.Objects).Set("applied = ?", o.Counts.Applied).Set("ready = ?", o.Counts.Ready).
		Set("drifted = ?", o.Counts.Drifted).Set("failed = ?", o.Counts.Failed).Set("prune_pending = ?", o.Counts.PrunePending).
		Set("hold_id = ?", hold.ID).Set("hold_objects = ?", hold.Objects).Set("hold_budget = ?", hold.Budget).
		Set("state = ?", d.State()).Exec(ctx)
	return err
}

func (s *Store) reportBundle(ctx context.Context, tx bun.Tx, cluster *clusterRow, status *linkv1.BundleStatus) error {
	row := &deliveryRow{}
	err := tx.NewSelect().Model(row).Where("cluster_uid = ? AND bundle = ?", cluster.UID, status.GetBundle()).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		// A bundle that the hub knows nothing of: relearning will ask about it.
		return nil
	}
	if err != nil {
		return err
	}
	before, err := row.delivery()
	if err != nil {
		return err
	}
	after := before
	after.Observed = observed(status)
	if err := writeObserved(ctx, tx, after); err != nil {
		return err
	}
	if err := writeExceptions(ctx, tx, row, status.GetExceptions()); err != nil {
		return err
	}
	return s.writeEvents(ctx, tx, statusEvents(before, after, status, s.now()))
}

// statusEvents are the history of a report: what came to a revision, and what happened to objects.
func statusEvents(before, after delivery.Delivery, status *linkv1.BundleStatus, now time.Time) []delivery.Event {
	_, name, _ := strings.Cut(string(after.Bundle), "/")
	base := delivery.Event{Time: now, Namespace: after.Namespace, Cluster: after.Cluster, Bundle: name}
	var events []delivery.Event
	for _, e := range status.GetEvents() {
		event := base
		event.Type, event.Message = eventType(e.GetType()), objectText(e.GetId())+": "+e.GetMessage()
		if e.GetTime() != nil {
			event.Time = e.GetTime().AsTime()
		}
		events = append(events, event)
	}
	changed := before.Observed.State != after.Observed.State || before.Observed.Revision != after.Observed.Revision
	if state := after.Observed.State; changed && (state == "Ready" || state == "Failed" || state == "Held" || state == "RolledBack") {
		event := base
		event.Type, event.To, event.Commit, event.Message = state, string(after.Observed.Revision), after.Assigned.Commit, after.Observed.Message
		events = append(events, event)
	}
	return events
}

// eventType turns an object event's type into history's form: drift-repaired is DriftRepaired.
func eventType(kebab string) string {
	var b strings.Builder
	for _, word := range strings.Split(kebab, "-") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

func objectText(id *linkv1.ObjectId) string {
	return content.ObjectID{Group: id.GetGroup(), Kind: id.GetKind(), Namespace: id.GetNamespace(), Name: id.GetName()}.String()
}

func observed(status *linkv1.BundleStatus) delivery.Observed {
	counts := status.GetCounts()
	out := delivery.Observed{Revision: content.Digest(status.GetRevision()), AppliedRevision: content.Digest(status.GetAppliedRevision()),
		State: stateName(status.GetState()), Message: status.GetMessage(),
		Counts: delivery.Counts{Objects: counts.GetObjects(), Applied: counts.GetApplied(), Ready: counts.GetReady(), Drifted: counts.GetDrifted(),
			Failed: counts.GetFailed(), PrunePending: counts.GetPrunePending()}}
	if status.GetChanged() != nil {
		out.ChangedAt = status.GetChanged().AsTime()
	}
	if hold := status.GetPruneHold(); hold != nil {
		out.PruneHold = &delivery.PruneHold{ID: hold.GetId(), Objects: hold.GetObjects(), Budget: hold.GetBudget()}
	}
	return out
}

// stateName is STATE_READY as Ready, and STATE_ROLLED_BACK as RolledBack.
func stateName(state linkv1.State) string {
	if state == linkv1.State_STATE_UNSPECIFIED {
		return ""
	}
	return eventType(strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(state.String(), "STATE_")), "_", "-"))
}

func writeExceptions(ctx context.Context, tx bun.Tx, of *deliveryRow, exceptions []*linkv1.ObjectStatus) error {
	if _, err := tx.NewDelete().Table("objects").Where("cluster_uid = ? AND bundle = ?", of.ClusterUID, of.Bundle).Exec(ctx); err != nil {
		return err
	}
	rows := make([]*objectRow, 0, len(exceptions))
	for _, e := range exceptions {
		row := &objectRow{ClusterUID: of.ClusterUID, Bundle: of.Bundle, Namespace: of.Namespace, Cluster: of.Cluster,
			ObjectGroup: e.GetId().GetGroup(), Kind: e.GetId().GetKind(), ObjectNamespace: e.GetId().GetNamespace(), Name: e.GetId().GetName(),
			State: e.GetState(), Message: e.GetMessage()}
		if e.GetSince() != nil {
			row.Since = micros(e.GetSince().AsTime())
		}
		rows = append(rows, row)
	}
	for start := 0; start < len(rows); start += readChunk {
		chunk := rows[start:min(start+readChunk, len(rows))]
		if _, err := tx.NewInsert().Model(&chunk).On("CONFLICT DO NOTHING").Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// reportRemoved drops the row of a bundle that left, where its tombstone still stands.
func (s *Store) reportRemoved(ctx context.Context, tx bun.Tx, cluster *clusterRow, bundle string) error {
	row := &deliveryRow{}
	err := tx.NewSelect().Model(row).Where("cluster_uid = ? AND bundle = ? AND tombstone <> ''", cluster.UID, bundle).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, table := range []string{"objects", "policy_results", "generated", "deliveries"} {
		if _, err := tx.NewDelete().Table(table).Where("cluster_uid = ? AND bundle = ?", cluster.UID, bundle).Exec(ctx); err != nil {
			return err
		}
	}
	_, name, _ := strings.Cut(bundle, "/")
	return s.writeEvents(ctx, tx, []delivery.Event{{Namespace: cluster.Namespace, Cluster: cluster.Name, Bundle: name, Type: "Removed", From: row.AssignedRevision}})
}

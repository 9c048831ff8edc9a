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
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
)

// Desired is a cluster's desired set, or the part of it that changed since a base.
type Desired struct {
	Position   delivery.Position
	Entries    []*linkv1.Entry
	Tombstones []*linkv1.Tombstone
	Relearn    bool
}

// Relearn is a cluster that is relearned; Report is nil until its agent sent it.
type Relearn struct {
	Cluster delivery.Cluster
	Report  *linkv1.RelearnReport
}

// duplicateWindow is how soon an instance that comes back after another one took its session shows two living instances.
const duplicateWindow = time.Minute

// ClaimSession takes a cluster for a process: its session's number rises by one, and older sessions' writes become no-ops.
func (s *Store) ClaimSession(ctx context.Context, uid, process, instance string) (session uint64, err error) {
	err = s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		row, err := s.lockCluster(ctx, tx, uid)
		if err != nil {
			return err
		}
		now := s.now()
		if instance != row.Instance && instance == row.PreviousInstance && now.Sub(fromMicros(row.Claimed)) < duplicateWindow {
			return ErrDuplicateIdentity
		}
		update := tx.NewUpdate().Model((*clusterRow)(nil)).Set("session = ?", row.Session+1).Set("sequence = 0").Set("process = ?", process).
			Set("connected = ?", true).Set("last_seen = ?", micros(now)).Where("uid = ?", uid)
		if instance != row.Instance {
			update = update.Set("previous_instance = ?", row.Instance).Set("instance = ?", instance).Set("claimed = ?", micros(now))
		}
		session = uint64(row.Session + 1)
		_, err = update.Exec(ctx)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("cannot claim the session of cluster %q: %w", uid, err)
	}
	return session, nil
}

// ReleaseSession marks a cluster as silent where the session is still its current one, and says whether it is silent now.
func (s *Store) ReleaseSession(ctx context.Context, uid string, session uint64) (gone bool, err error) {
	err = s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*clusterRow)(nil)).Set("connected = ?", false).Where("uid = ? AND session = ?", uid, int64(session)).Exec(ctx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("cannot release the session of cluster %q: %w", uid, err)
	}
	row, err := s.clusterRow(ctx, s.reader, uid)
	if errors.Is(err, ErrNotFound) {
		return true, nil
	}
	return err == nil && !row.Connected, err
}

// SilenceUnheard marks the clusters that were not heard since as silent, which a process that died could not do.
func (s *Store) SilenceUnheard(ctx context.Context, since time.Time) error {
	quiet, err := s.reader.NewSelect().Model((*clusterRow)(nil)).Where("connected = ? AND last_seen < ?", true, micros(since)).Exists(ctx)
	if err != nil || !quiet {
		return err
	}
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*clusterRow)(nil)).Set("connected = ?", false).Where("connected = ? AND last_seen < ?", true, micros(since)).Exec(ctx)
		return err
	})
}

// Desired is a cluster's whole set.
func (s *Store) Desired(ctx context.Context, uid string) (Desired, error) {
	desired, _, err := s.since(ctx, uid, nil)
	return desired, err
}

// Since is what changed after base. ok is false when base is not the position on record for this cluster in this epoch: then
// nothing may be concluded from it.
func (s *Store) Since(ctx context.Context, uid string, base delivery.Position) (desired Desired, ok bool, err error) {
	return s.since(ctx, uid, &base)
}

func (s *Store) since(ctx context.Context, uid string, base *delivery.Position) (out Desired, ok bool, err error) {
	// One transaction: the set must be that of the position.
	options := &sql.TxOptions{ReadOnly: s.postgres}
	if s.postgres {
		options.Isolation = sql.LevelRepeatableRead
	}
	err = s.reader.RunInTx(ctx, options, func(ctx context.Context, tx bun.Tx) error {
		row, err := s.clusterRow(ctx, tx, uid)
		if err != nil {
			return err
		}
		cluster, err := row.cluster()
		if err != nil {
			return err
		}
		out = Desired{Position: delivery.Position{Epoch: cluster.Epoch, Generation: cluster.Generation, SetHash: cluster.SetHash}, Relearn: cluster.Relearn}
		if base != nil && (cluster.Relearn || *base != cluster.Accepted || base.Epoch != cluster.Epoch || base.Generation > cluster.Generation) {
			return nil
		}
		ok = true
		var rows []*deliveryRow
		query := tx.NewSelect().Model(&rows).Where("cluster_uid = ?", uid).Order("bundle")
		if base != nil {
			query = query.Where("generation > ?", int64(base.Generation))
		}
		if err := query.Scan(ctx); err != nil {
			return err
		}
		for _, row := range rows {
			d, err := row.delivery()
			if err != nil {
				return err
			}
			if entry := entryOf(d); entry != nil {
				out.Entries = append(out.Entries, entry)
			}
			if stone := tombstone(d); stone != nil {
				out.Tombstones = append(out.Tombstones, stone)
			}
		}
		return nil
	})
	if err != nil {
		return Desired{}, false, fmt.Errorf("cannot read the desired set of cluster %q: %w", uid, err)
	}
	return out, ok, nil
}

// Accept records what an agent said to be durable; a stale session's word does nothing.
func (s *Store) Accept(ctx context.Context, uid string, session uint64, p delivery.Position, refused []*linkv1.Refused) error {
	names := map[string]string{}
	for _, r := range refused {
		names[r.GetBundle()] = r.GetReason()
	}
	text, err := json.Marshal(names)
	if err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*clusterRow)(nil)).Set("accepted_epoch = ?", p.Epoch).Set("accepted_generation = ?", int64(p.Generation)).
			Set("accepted_hash = ?", p.SetHash[:]).Set("refused = ?", string(text)).Where("uid = ? AND session = ?", uid, int64(session)).Exec(ctx)
		return err
	})
}

// Report records an agent's status. It does nothing when (session, sequence) is not newer than what is recorded.
func (s *Store) Report(ctx context.Context, uid string, session, sequence uint64, report *linkv1.StatusReport) (applied bool, err error) {
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
		update = update.Set("kubernetes_version = ?", facts.GetKubernetesVersion()).Set("api_versions = ?", string(apis)).Set("nodes = ?", facts.GetNodes())
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
				Set("nodes = ?", hello.GetFacts().GetNodes())
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
	if _, err := tx.NewDelete().Table("objects").Where("cluster_uid = ? AND bundle NOT IN (?)", row.UID, bun.In(names)).Exec(ctx); err != nil {
		return err
	}
	_, err := tx.NewUpdate().Model((*deliveryRow)(nil)).Set("observed_state = ''").Set("observed_revision = ''").Set("hold_id = ''").
		Set("state = CASE WHEN reason = '' AND tombstone = '' THEN 'Pending' ELSE state END").
		Where("cluster_uid = ? AND observed_state <> '' AND bundle NOT IN (?)", row.UID, bun.In(names)).Exec(ctx)
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
	state := after.State()
	update := tx.NewUpdate().Model((*deliveryRow)(nil)).Where("cluster_uid = ? AND bundle = ?", cluster.UID, row.Bundle)
	o := after.Observed
	hold := delivery.PruneHold{}
	if o.PruneHold != nil {
		hold = *o.PruneHold
	}
	for column, value := range map[string]any{
		"observed_revision": string(o.Revision), "applied_revision": string(o.AppliedRevision), "observed_state": o.State,
		"observed_message": o.Message, "observed_changed": micros(o.ChangedAt), "objects": o.Counts.Objects, "applied": o.Counts.Applied,
		"ready": o.Counts.Ready, "drifted": o.Counts.Drifted, "failed": o.Counts.Failed, "prune_pending": o.Counts.PrunePending,
		"hold_id": hold.ID, "hold_objects": hold.Objects, "hold_budget": hold.Budget, "state": state,
	} {
		update = update.Set("? = ?", bun.Ident(column), value)
	}
	if _, err := update.Exec(ctx); err != nil {
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
	if state := after.Observed.State; changed && (state == "Ready" || state == "Failed" || state == "Held") {
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

// stateName is STATE_READY as Ready.
func stateName(state linkv1.State) string {
	if state == linkv1.State_STATE_UNSPECIFIED {
		return ""
	}
	name := strings.TrimPrefix(state.String(), "STATE_")
	return name[:1] + strings.ToLower(name[1:])
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
	for _, table := range []string{"objects", "policy_results", "deliveries"} {
		if _, err := tx.NewDelete().Table(table).Where("cluster_uid = ? AND bundle = ?", cluster.UID, bundle).Exec(ctx); err != nil {
			return err
		}
	}
	_, name, _ := strings.Cut(bundle, "/")
	return s.writeEvents(ctx, tx, []delivery.Event{{Namespace: cluster.Namespace, Cluster: cluster.Name, Bundle: name, Type: "Removed", From: row.AssignedRevision}})
}

// Touch records when clusters were last heard, in bulk.
func (s *Store) Touch(ctx context.Context, seen map[string]time.Time) error {
	if len(seen) == 0 {
		return nil
	}
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		for uid, at := range seen {
			_, err := tx.NewUpdate().Model((*clusterRow)(nil)).Set("last_seen = ?", micros(at)).Where("uid = ? AND last_seen < ?", uid, micros(at)).Exec(ctx)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Moved are those of the clusters (uid to the generation sent) whose generation is another now.
func (s *Store) Moved(ctx context.Context, sent map[string]uint64) ([]string, error) {
	uids := make([]string, 0, len(sent))
	for uid := range sent {
		uids = append(uids, uid)
	}
	var moved []string
	for start := 0; start < len(uids); start += readChunk {
		var rows []*clusterRow
		chunk := uids[start:min(start+readChunk, len(uids))]
		if err := s.reader.NewSelect().Model(&rows).Column("uid", "generation").Where("uid IN (?)", bun.In(chunk)).Scan(ctx); err != nil {
			return nil, fmt.Errorf("cannot look for moved clusters: %w", err)
		}
		for _, row := range rows {
			if uint64(row.Generation) != sent[row.UID] {
				moved = append(moved, row.UID)
			}
		}
	}
	return moved, nil
}

// MayFetch says whether a cluster may have a bundle's revision: assigned now, declared next, or the one to go back to.
func (s *Store) MayFetch(ctx context.Context, uid, bundle string, revision content.Digest) (bool, error) {
	may, err := s.reader.NewSelect().Model((*deliveryRow)(nil)).Where("cluster_uid = ? AND bundle = ?", uid, bundle).
		Where("? IN (target_revision, assigned_revision, previous_revision)", string(revision)).Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("cannot check what cluster %q may fetch: %w", uid, err)
	}
	return may, nil
}

// SaveRelearn keeps an agent's report until control answers it.
func (s *Store) SaveRelearn(ctx context.Context, uid string, session uint64, report *linkv1.RelearnReport) error {
	data, err := proto.Marshal(report)
	if err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*clusterRow)(nil)).Set("relearn = ?", true).Set("relearn_report = ?", data).
			Where("uid = ? AND session = ? AND epoch = ?", uid, int64(session), report.GetEpoch()).Exec(ctx)
		return err
	})
}

// Relearning are the clusters that are relearned.
func (s *Store) Relearning(ctx context.Context) ([]Relearn, error) {
	var rows []*clusterRow
	if err := s.reader.NewSelect().Model(&rows).Where("relearn = ?", true).Order("namespace", "name").Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot read relearning clusters: %w", err)
	}
	var out []Relearn
	for _, row := range rows {
		cluster, err := row.cluster()
		if err != nil {
			return nil, err
		}
		item := Relearn{Cluster: cluster}
		if len(row.RelearnReport) > 0 {
			item.Report = &linkv1.RelearnReport{}
			if err := proto.Unmarshal(row.RelearnReport, item.Report); err != nil {
				return nil, fmt.Errorf("cannot read the relearn report of cluster %q: %w", row.Name, err)
			}
		}
		out = append(out, item)
	}
	return out, nil
}

// FinishRelearn makes what control decided the cluster's set. Deliveries that the agent did not report lose their assignment,
// so that the next plan assigns them anew; their targets stay.
func (s *Store) FinishRelearn(ctx context.Context, term uint64, uid string, kept []Change) error {
	err := s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.checkTerm(ctx, tx, term); err != nil {
			return err
		}
		if _, err := s.lockCluster(ctx, tx, uid); err != nil {
			return err
		}
		var empty content.Hash
		_, err := tx.NewUpdate().Model((*deliveryRow)(nil)).Set("assigned_revision = ''").Set("assigned = '{}'").Set("tombstone = ''").
			Set("observed_state = ''").Where("cluster_uid = ?", uid).Exec(ctx)
		if err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model((*clusterRow)(nil)).Set("set_hash = ?", empty[:]).Set("relearn = ?", false).Set("relearn_report = NULL").
			Set("generation = generation + 1").Where("uid = ?", uid).Exec(ctx)
		if err != nil {
			return err
		}
		_, err = s.applyCluster(ctx, tx, uid, kept)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot finish relearning cluster %q: %w", uid, err)
	}
	s.notify(ctx, uid)
	return nil
}

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

package store

import (
	"encoding/json"
	"fmt"

	"github.com/uptrace/bun"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
)

type metaRow struct {
	bun.BaseModel `bun:"table:meta"`
	ID            int `bun:",pk"`
	FleetID       string
	Epoch         string
	WriteMark     int64
}

type leaderRow struct {
	bun.BaseModel `bun:"table:leaders,alias:leader_row"`
	ID            int `bun:",pk"`
	Process       string
	Term          int64
	Until         int64
}

type clusterRow struct {
	bun.BaseModel      `bun:"table:clusters,alias:clusters"`
	UID                string `bun:"uid,pk"`
	Namespace          string
	Name               string
	Labels             string
	Epoch              string
	Generation         int64
	SetHash            []byte
	AcceptedEpoch      string
	AcceptedGeneration int64
	AcceptedHash       []byte
	Refused            string
	Relearn            bool
	RelearnReport      []byte
	Session            int64
	Sequence           int64
	Process            string
	Instance           string
	PreviousInstance   string
	Claimed            int64
	Connected          bool
	LastSeen           int64
	AgentVersion       string
	KubernetesVersion  string
	APIVersions        string `bun:"api_versions"`
	Nodes              int32
	PolicyPoints       string
	PolicyProblems     string
	RevokedBefore      int64
}

func (r *clusterRow) cluster() (delivery.Cluster, error) {
	out := delivery.Cluster{UID: r.UID, Namespace: r.Namespace, Name: r.Name, Epoch: r.Epoch, Generation: uint64(r.Generation),
		Relearn: r.Relearn, Connected: r.Connected, LastSeen: fromMicros(r.LastSeen), AgentVersion: r.AgentVersion,
		KubernetesVersion: r.KubernetesVersion, Nodes: r.Nodes,
		Accepted: delivery.Position{Epoch: r.AcceptedEpoch, Generation: uint64(r.AcceptedGeneration)}}
	var err error
	if out.SetHash, err = content.HashFrom(r.SetHash); err != nil {
		return out, fmt.Errorf("cannot read cluster %q: %w", r.Name, err)
	}
	if out.Accepted.SetHash, err = content.HashFrom(r.AcceptedHash); err != nil {
		return out, fmt.Errorf("cannot read cluster %q: %w", r.Name, err)
	}
	if err := json.Unmarshal([]byte(r.Labels), &out.Labels); err != nil {
		return out, fmt.Errorf("cannot read labels of cluster %q: %w", r.Name, err)
	}
	if err := json.Unmarshal([]byte(r.APIVersions), &out.APIVersions); err != nil {
		return out, fmt.Errorf("cannot read API versions of cluster %q: %w", r.Name, err)
	}
	return out, nil
}

type bundleRow struct {
	bun.BaseModel `bun:"table:bundles,alias:bundles"`
	Bundle        string `bun:",pk"`
	Namespace     string
	Name          string
	Repo          string
	Path          string
	CommitSha     string
	TreeHash      string
	Spec          []byte
	Frozen        string
	Warnings      string
}

func (r *bundleRow) bundle() (delivery.Bundle, error) {
	out := delivery.Bundle{Key: delivery.Key(r.Bundle), Repo: r.Repo, Path: r.Path, Commit: r.CommitSha, TreeHash: r.TreeHash,
		Spec: r.Spec, Frozen: r.Frozen}
	if r.Warnings == "" {
		return out, nil
	}
	if err := json.Unmarshal([]byte(r.Warnings), &out.Warnings); err != nil {
		return out, fmt.Errorf("cannot read the warnings of bundle %q: %w", r.Bundle, err)
	}
	return out, nil
}

type deliveryRow struct {
	bun.BaseModel    `bun:"table:deliveries,alias:deliveries"`
	ClusterUID       string `bun:"cluster_uid,pk"`
	Bundle           string `bun:",pk"`
	Namespace        string
	Cluster          string
	TargetRevision   string
	Target           string
	AssignedRevision string
	Assigned         string
	PreviousRevision string
	Previous         string
	Reason           string
	Message          string
	Tombstone        string
	Generation       int64
	Updated          int64
	State            string
	ObservedRevision string
	AppliedRevision  string
	ObservedState    string
	ObservedMessage  string
	ObservedChanged  int64
	Objects          int32
	Applied          int32
	Ready            int32
	Drifted          int32
	Failed           int32
	PrunePending     int32
	HoldID           string `bun:"hold_id"`
	HoldObjects      int32
	HoldBudget       int32
}

// assignmentJSON is an assignment without its revision, as a column holds it.
type assignmentJSON struct {
	Options      json.RawMessage `json:"options,omitempty"`
	Capabilities []string        `json:"capabilities,omitempty"`
	Commit       string          `json:"commit,omitempty"`
	Target       string          `json:"target,omitempty"`
}

func encodeAssignment(a delivery.Assignment) (revision, rest string, err error) {
	out := assignmentJSON{Capabilities: a.RequiredCapabilities, Commit: a.Commit, Target: a.TargetName}
	if a.Options != nil {
		if out.Options, err = protojson.Marshal(a.Options); err != nil {
			return "", "", fmt.Errorf("cannot encode options: %w", err)
		}
	}
	data, err := json.Marshal(out)
	return string(a.Revision), string(data), err
}

func decodeAssignment(revision, rest string) (delivery.Assignment, error) {
	var in assignmentJSON
	if err := json.Unmarshal([]byte(rest), &in); err != nil {
		return delivery.Assignment{}, fmt.Errorf("cannot read assignment: %w", err)
	}
	out := delivery.Assignment{Revision: content.Digest(revision), RequiredCapabilities: in.Capabilities, Commit: in.Commit, TargetName: in.Target}
	if len(in.Options) > 0 {
		out.Options = &linkv1.Options{}
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(in.Options, out.Options); err != nil {
			return out, fmt.Errorf("cannot read options: %w", err)
		}
	}
	return out, nil
}

func (r *deliveryRow) delivery() (delivery.Delivery, error) {
	out := delivery.Delivery{ClusterUID: r.ClusterUID, Namespace: r.Namespace, Cluster: r.Cluster, Bundle: delivery.Key(r.Bundle),
		Reason: r.Reason, Message: r.Message, Generation: uint64(r.Generation), UpdatedAt: fromMicros(r.Updated),
		Observed: delivery.Observed{Revision: content.Digest(r.ObservedRevision), AppliedRevision: content.Digest(r.AppliedRevision),
			State: r.ObservedState, Message: r.ObservedMessage, ChangedAt: fromMicros(r.ObservedChanged),
			Counts: delivery.Counts{Objects: r.Objects, Applied: r.Applied, Ready: r.Ready, Drifted: r.Drifted, Failed: r.Failed, PrunePending: r.PrunePending}}}
	if r.HoldID != "" {
		out.Observed.PruneHold = &delivery.PruneHold{ID: r.HoldID, Objects: r.HoldObjects, Budget: r.HoldBudget}
	}
	if r.Tombstone != "" {
		out.Tombstone = &delivery.Tombstone{}
		if err := json.Unmarshal([]byte(r.Tombstone), out.Tombstone); err != nil {
			return out, fmt.Errorf("cannot read tombstone of %s: %w", r.Bundle, err)
		}
	}
	var err error
	if out.Target, err = decodeAssignment(r.TargetRevision, r.Target); err != nil {
		return out, err
	}
	if out.Assigned, err = decodeAssignment(r.AssignedRevision, r.Assigned); err != nil {
		return out, err
	}
	out.Previous, err = decodeAssignment(r.PreviousRevision, r.Previous)
	return out, err
}

// tombstone on the wire; nil where there is none.
func tombstone(d delivery.Delivery) *linkv1.Tombstone {
	if d.Tombstone == nil {
		return nil
	}
	t := d.Tombstone
	return &linkv1.Tombstone{Bundle: string(d.Bundle), Orphan: t.Orphan, Generation: t.Generation, Confirmed: t.Confirmed,
		Cause: &linkv1.Cause{Kind: t.Cause.Kind, Ref: t.Cause.Ref, Message: t.Cause.Message}}
}

type objectRow struct {
	bun.BaseModel   `bun:"table:objects,alias:objects"`
	ClusterUID      string `bun:"cluster_uid,pk"`
	Bundle          string `bun:",pk"`
	Namespace       string
	Cluster         string
	ObjectGroup     string `bun:",pk"`
	Kind            string `bun:",pk"`
	ObjectNamespace string `bun:",pk"`
	Name            string `bun:",pk"`
	State           string
	Message         string
	Since           int64
}

type policyRow struct {
	bun.BaseModel   `bun:"table:policy_results,alias:policy_results"`
	ID              int64  `bun:",pk,autoincrement"`
	ClusterUID      string `bun:"cluster_uid"`
	Bundle          string
	Namespace       string
	Cluster         string
	Policy          string
	Action          string
	Result          string
	ObjectGroup     string
	Kind            string
	ObjectNamespace string
	Name            string
	Message         string
	Source          string
	PolicySource    string
	Exemption       string
	// Point at which it was found; Finding, Revision and Time are those of an agent's.
	Point    string
	Finding  string
	Revision string
	Time     int64
}

type historyRow struct {
	bun.BaseModel `bun:"table:history,alias:history"`
	ID            int64 `bun:",pk,autoincrement"`
	Time          int64
	Namespace     string
	Cluster       string
	Bundle        string
	Type          string
	FromValue     string
	ToValue       string
	CommitSha     string
	Actor         string
	Message       string
}

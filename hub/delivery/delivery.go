// Package delivery holds the words that the hub's stages share: clusters as the store knows them, bundles as they are in
// force, deliveries (one cluster x bundle pair), tombstones and history. It is data and pure functions only; package store
// keeps it, control and rollout decide it, link hands it out and statusapi shows it.
package delivery

import (
	"strings"
	"time"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// Key is "namespace/name" of a bundle.
type Key string

// Cluster is a FleetCluster's row. UID is the Kubernetes UID of the FleetCluster: a recreated name sees no old rows.
type Cluster struct {
	UID       string
	Namespace string
	Name      string
	Labels    map[string]string
	// Position of the desired set.
	Epoch      string
	Generation uint64
	SetHash    content.Hash
	// Accepted is what the agent last said to be durable.
	Accepted Position
	// Relearn is true from a restore until the agent's report was answered.
	Relearn bool
	// Connected, LastSeen, AgentVersion, KubernetesVersion, Capabilities and Instance are of the current or last session.
	Connected         bool
	LastSeen          time.Time
	AgentVersion      string
	KubernetesVersion string
	APIVersions       []string
	Nodes             int32
}

// Position is (epoch, generation, set hash).
type Position struct {
	Epoch      string
	Generation uint64
	SetHash    content.Hash
}

// Proto is the position on the wire.
func (p Position) Proto() *linkv1.Position {
	return &linkv1.Position{Epoch: p.Epoch, Generation: p.Generation, SetHash: p.SetHash[:]}
}

// Bundle is a bundle in force.
type Bundle struct {
	Key Key
	// Repo is namespace/name of the FleetRepo that declares it.
	Repo string
	// Path of the bundle's folder in the fleet repo.
	Path string
	// Commit that Spec was read at: the last good one.
	Commit string
	// TreeHash of the bundle's folder at Commit.
	TreeHash string
	// Spec is the JSON of v1alpha1.BundleSpec.
	Spec []byte
	// Frozen says why a newer commit's version was refused ("" when it was not), with file and line in the text.
	Frozen string
	// Warnings of its renderings.
	Warnings Warnings
}

// Warnings are what renderers warn of in a bundle: how many different things, and the first few of them.
type Warnings struct {
	Count int      `json:"count"`
	First []string `json:"first"`
}

// warningsShown and warningBytes bound what is kept of a bundle's warnings.
const (
	warningsShown = 5
	warningBytes  = 500
)

// NewWarnings of all that there are, which are sorted.
func NewWarnings(all []string) Warnings {
	out := Warnings{Count: len(all)}
	for _, one := range all[:min(len(all), warningsShown)] {
		if len(one) > warningBytes {
			one = strings.ToValidUTF8(one[:warningBytes], "") + "..."
		}
		out.First = append(out.First, one)
	}
	return out
}

// Delivery is one cluster x bundle pair.
type Delivery struct {
	ClusterUID string
	// Namespace and Cluster are those of the FleetCluster.
	Namespace string
	Cluster   string
	Bundle    Key

	// Target is what Git declares for the pair; Assigned is what the agent shall run; Previous is the last assigned one that
	// was Ready. "" where there is none.
	Target   Assignment
	Assigned Assignment
	Previous Assignment

	// Reason says why Assigned is not Target, or why there is no target: Held (policy), RenderFailed, Frozen, Suspended,
	// RemovalHeld, TargetError; "" when nothing is wrong. Message is for a person and names file and line.
	Reason  string
	Message string

	// Observed is what the agent last reported.
	Observed Observed
	// Tombstone is set while the bundle leaves the cluster.
	Tombstone *Tombstone
	// Generation of the cluster's desired set that last changed this pair.
	Generation uint64
	UpdatedAt  time.Time
}

// Assignment is a revision with how to treat it.
type Assignment struct {
	Revision content.Digest
	// Options and RequiredCapabilities of the entry.
	Options              *linkv1.Options
	RequiredCapabilities []string
	// Commit that it came from.
	Commit string
	// TargetName is the name (or index) of the bundle's target that matched.
	TargetName string
}

// Entry is the assignment on the wire; nil where there is none.
func (a Assignment) Entry(bundle Key) *linkv1.Entry {
	if a.Revision == "" {
		return nil
	}
	return &linkv1.Entry{Bundle: string(bundle), Revision: string(a.Revision), Options: a.Options,
		RequiredCapabilities: a.RequiredCapabilities, Commit: a.Commit}
}

// Observed is an agent's last word on a pair.
type Observed struct {
	Revision        content.Digest
	AppliedRevision content.Digest
	// State is the name of linkv1.State without its prefix, in CamelCase: Pending, Applying, Progressing, Ready, Failed,
	// Removing, Held, Waiting, RolledBack; "" when nothing was reported.
	State     string
	Message   string
	Counts    Counts
	ChangedAt time.Time
	// PruneHold is set while a prune waits for a person.
	PruneHold *PruneHold
}

// Counts of a pair's objects.
type Counts struct {
	Objects, Applied, Ready, Drifted, Failed, PrunePending int32
}

// PruneHold names a prune above its budget.
type PruneHold struct {
	ID      string
	Objects int32
	Budget  int32
}

// Object is one object that is not applied and current.
type Object struct {
	ID      content.ObjectID
	State   string
	Message string
	Since   time.Time
}

// Tombstone says that a bundle leaves a cluster, and because of what.
type Tombstone struct {
	Cause  Cause
	Orphan bool
	// Confirmed by a person: the agent's budget does not hold it.
	Confirmed bool
	// Generation that brought it.
	Generation uint64
}

// Cause is what was positively read.
type Cause struct {
	// Kind: commit, target, person, cluster.
	Kind    string
	Ref     string
	Message string
}

// Event is one row of history.
type Event struct {
	ID        int64
	Time      time.Time
	Namespace string
	// Cluster and Bundle (name only) are "" where the event is not about one.
	Cluster string
	Bundle  string
	// Type: Assigned, Held, Released, Ready, Failed, Removed, Tombstoned, DriftRepaired, Confirmed, Joined, Revoked, ...
	Type string
	From string
	To   string
	// Commit that led to it and Actor who did it ("" for the system).
	Commit  string
	Actor   string
	Message string
}

// PolicyResult is one finding of the gate for a pair's target revision.
type PolicyResult struct {
	Policy string
	// Action: deny, warn, audit. Result: fail, warn, skip (exempt), error.
	Action  string
	Result  string
	Object  content.ObjectID
	Message string
	// Source is "file:line" of the object, PolicySource "file:line" of the rule's package.
	Source       string
	PolicySource string
	Exemption    string
}

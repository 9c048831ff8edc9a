package link

import (
	"context"
	"errors"
	"time"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/link/session"
)

// ErrUnknownCluster says that the store has no such cluster.
var ErrUnknownCluster = errors.New("the cluster is not known")

// ErrDuplicateIdentity says that two instances claim a cluster's session in turn.
var ErrDuplicateIdentity = errors.New("two agents use the identity of one cluster")

// Meta says which life of which fleet's store this is.
type Meta struct{ FleetID, Epoch string }

// Store is what the link asks of the hub's store. Package fakestore behaves like it in memory, package storelink makes one of
// hub/store.
type Store interface {
	Meta(ctx context.Context) (Meta, error)
	// Head is one row; ErrUnknownCluster where there is none.
	Head(ctx context.Context, uid string) (session.Head, error)
	Desired(ctx context.Context, uid string) (session.Desired, error)
	// Since is ok only when base is the position on record for this cluster in this epoch.
	Since(ctx context.Context, uid string, base delivery.Position) (session.Desired, bool, error)
	// ClaimSession takes the cluster for this process: its number rises by one, older sessions' writes become no-ops.
	ClaimSession(ctx context.Context, uid, process string, hello *linkv1.Hello) (uint64, error)
	// ReleaseSession says whether nobody else holds the cluster now.
	ReleaseSession(ctx context.Context, uid string, number uint64) (gone bool, err error)
	Accept(ctx context.Context, uid string, number uint64, p delivery.Position, refused []*linkv1.Refused) error
	// Report is not applied when (session, sequence) is not newer than what is recorded.
	Report(ctx context.Context, uid string, number, sequence uint64, report *linkv1.StatusReport) (applied bool, err error)
	// SaveRelearn keeps the report and leaves the cluster relearning until control answered it.
	SaveRelearn(ctx context.Context, uid string, number uint64, report *linkv1.RelearnReport) error
	Touch(ctx context.Context, seen map[string]time.Time) error
	// Moved are those of the clusters (uid to generation) whose generation is another.
	Moved(ctx context.Context, sent map[string]uint64) ([]string, error)
	// Hints are uids of clusters that may have changed, or have commands; lossy.
	Hints() <-chan string
	PendingCommands(ctx context.Context, uid string) ([]*linkv1.Command, error)
	AnswerCommand(ctx context.Context, id, failure string) error
	MayFetch(ctx context.Context, uid, bundle string, revision content.Digest) (bool, error)
	// Blobs are contents by digest, manifests among them; what is not there is left out.
	Blobs(ctx context.Context, digests []content.Digest) (map[content.Digest][]byte, error)
}

// Package policy holds the policies that the hub gave this cluster, for those who evaluate them: admission and audit. What
// cannot be loaded leaves in force what was loaded before, over restarts too, and the hub is told why.
package policy

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/policies/engine"
	"github.com/periplus-fleet/periplus/policies/parcel"
)

const (
	// secretName holds the entry that was loaded last.
	secretName = "periplus-policies"
	entryKey   = "entry"

	firstRetry = 2 * time.Second
	lastRetry  = 5 * time.Minute
	// shownRefusals bounds what a message says of what is refused.
	shownRefusals = 3
)

// Desired is the accepted set with its content.
type Desired interface {
	Accepted() desired.Set
	Manifest(ctx context.Context, revision content.Digest) (content.Manifest, error)
	Content(ctx context.Context, digests []content.Digest) (map[content.Digest][]byte, error)
}

// Hub is told what became of the policies, as of a bundle.
type Hub interface {
	Report(status *linkv1.BundleStatus)
	Removed(bundle string)
}

// Config of a Loader.
type Config struct {
	Desired Desired
	// Secrets keep what is in force over restarts; nil keeps nothing, for one who only reads along.
	Secrets *kube.Secrets
	Hub     Hub
	// Key verifies signatures; nil takes policies unsigned.
	Key ed25519.PublicKey
	// Loaded is called, by one goroutine, when other policies are in force: also at the start, and with none once they are gone.
	Loaded func(InForce)
	Log    *slog.Logger
}

// InForce are the policies in force in the cluster.
type InForce struct {
	// Snapshot is nil where there are none.
	Snapshot *engine.Snapshot
	Cluster  engine.Cluster
	Revision content.Digest
}

// Loader loads policies as the accepted set names them.
type Loader struct {
	config Config
	poke   chan struct{}

	mu sync.Mutex
	// kept is the entry that InForce was made of, nil for none.
	kept    *linkv1.Entry
	inForce InForce
	status  *linkv1.BundleStatus
}

// Open finds out which policies were in force last; Run loads them.
func Open(ctx context.Context, config Config) (*Loader, error) {
	l := &Loader{config: config, poke: make(chan struct{}, 1)}
	if config.Secrets == nil {
		return l, nil
	}
	secret, err := config.Secrets.Get(ctx, secretName)
	switch {
	case apierrors.IsNotFound(err):
		return l, nil
	case err != nil:
		return nil, fmt.Errorf("cannot read which policies were in force: %w", err)
	}
	entry := &linkv1.Entry{}
	if err := proto.Unmarshal(secret.Data[entryKey], entry); err != nil || entry.GetRevision() == "" {
		config.Log.Warn("cannot read which policies were in force: the hub's are loaded", "secret", secretName, "error", err)
		return l, nil
	}
	l.kept = entry
	return l, nil
}

// Revisions are those whose content must be kept for the next start.
func (l *Loader) Revisions() []content.Digest {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept == nil {
		return nil
	}
	return []content.Digest{content.Digest(l.kept.GetRevision())}
}

// Changed says that another set was accepted.
func (l *Loader) Changed() {
	select {
	case l.poke <- struct{}{}:
	default:
	}
}

// Run loads what was in force last, and follows the accepted set until ctx ends.
func (l *Loader) Run(ctx context.Context) error {
	if l.kept != nil {
		if loaded, err := l.load(ctx, l.kept); err != nil {
			l.config.Log.Warn("cannot load the policies that were in force", "revision", l.kept.GetRevision(), "error", err)
		} else {
			l.take(l.kept, loaded)
		}
	}
	wait := firstRetry
	for {
		again := l.follow(ctx)
		if !again {
			wait = firstRetry
		}
		timer := time.NewTimer(wait)
		if !again {
			timer.Stop()
		} else {
			wait = min(2*wait, lastRetry)
		}
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-l.poke:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// follow brings the policies to what the accepted set says, and says whether to try again.
func (l *Loader) follow(ctx context.Context) (again bool) {
	set := l.config.Desired.Accepted()
	for name, entry := range set.Entries {
		if content.IsPolicies(name) {
			return l.bring(ctx, entry)
		}
	}
	if set.Relearning {
		return false
	}
	for name, tombstone := range set.Tombstones {
		if content.IsPolicies(name) {
			return l.drop(ctx, name, tombstone)
		}
	}
	return false
}

func (l *Loader) bring(ctx context.Context, entry *linkv1.Entry) (again bool) {
	if l.inForce.Snapshot != nil && same(l.kept, entry) {
		l.report(entry, nil)
		return false
	}
	loaded, err := l.load(ctx, entry)
	if err == nil {
		err = l.keep(ctx, entry)
	}
	if ctx.Err() != nil {
		return false
	}
	if err == nil {
		l.take(entry, loaded)
	}
	l.report(entry, err)
	if final := (refusedError{}); errors.As(err, &final) || errors.Is(err, parcel.ErrSignature) {
		// Only other policies mend it.
		return false
	}
	return err != nil
}

// same says whether two entries make the same policies.
func same(a, b *linkv1.Entry) bool {
	return a.GetRevision() == b.GetRevision() && proto.Equal(a.GetOptions().GetPolicies(), b.GetOptions().GetPolicies())
}

// refusedError says what of the policies this agent cannot load.
type refusedError struct{ message string }

func (e refusedError) Error() string { return e.message }

func (l *Loader) load(ctx context.Context, entry *linkv1.Entry) (InForce, error) {
	revision := content.Digest(entry.GetRevision())
	cluster, err := parcel.Open(revision, entry.GetOptions().GetPolicies(), l.config.Key)
	if err != nil {
		return InForce{}, err
	}
	manifest, err := l.config.Desired.Manifest(ctx, revision)
	if err != nil {
		return InForce{}, err
	}
	digests := make([]content.Digest, len(manifest.Items))
	for i, item := range manifest.Items {
		digests[i] = item.Digest
	}
	blobs, err := l.config.Desired.Content(ctx, digests)
	if err != nil {
		return InForce{}, err
	}
	source, err := parcel.Unpack(manifest, blobs)
	if err != nil {
		return InForce{}, refusedError{err.Error()}
	}
	snapshot, refused := engine.Load(source, l.inForce.Snapshot)
	if len(refused) > 0 {
		var texts []string
		for _, r := range refused[:min(len(refused), shownRefusals)] {
			texts = append(texts, fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Message))
		}
		if more := len(refused) - shownRefusals; more > 0 {
			texts = append(texts, fmt.Sprintf("and %d more", more))
		}
		return InForce{}, refusedError{"this agent cannot load the policies, and keeps those it had: " + strings.Join(texts, "; ")}
	}
	return InForce{Snapshot: snapshot, Cluster: cluster, Revision: revision}, nil
}

// keep writes down what is about to be in force.
func (l *Loader) keep(ctx context.Context, entry *linkv1.Entry) error {
	if l.config.Secrets == nil {
		return nil
	}
	data, err := proto.Marshal(entry)
	if err != nil {
		return fmt.Errorf("cannot write down which policies are in force: %w", err)
	}
	secret := &corev1.Secret{ObjectMeta: l.config.Secrets.Own(secretName, "policies"), Data: map[string][]byte{entryKey: data}}
	if err := l.config.Secrets.Put(ctx, secret, l.kept != nil); err != nil {
		return fmt.Errorf("cannot write down which policies are in force: %w", err)
	}
	return nil
}

func (l *Loader) take(entry *linkv1.Entry, loaded InForce) {
	l.mu.Lock()
	l.kept, l.inForce = entry, loaded
	l.mu.Unlock()
	l.config.Log.Info("policies are in force", "revision", loaded.Revision, "policies", len(loaded.Snapshot.Policies()))
	l.config.Loaded(loaded)
}

func (l *Loader) drop(ctx context.Context, name string, tombstone *linkv1.Tombstone) (again bool) {
	if l.config.Secrets != nil {
		if err := l.config.Secrets.Delete(ctx, secretName); err != nil {
			l.config.Log.Warn("cannot forget which policies were in force", "error", err)
			return true
		}
	}
	l.mu.Lock()
	had := l.inForce.Snapshot != nil
	l.kept, l.inForce, l.status = nil, InForce{}, nil
	l.mu.Unlock()
	if had {
		l.config.Log.Info("no policies are in force any more", "cause", tombstone.GetCause().GetMessage())
		l.config.Loaded(InForce{})
	}
	l.config.Hub.Removed(name)
	return false
}

// report says what is in force, as of a bundle.
func (l *Loader) report(entry *linkv1.Entry, problem error) {
	count := int32(len(l.inForce.Snapshot.Policies()))
	status := &linkv1.BundleStatus{Bundle: entry.GetBundle(), Revision: entry.GetRevision(), AppliedRevision: string(l.inForce.Revision),
		State: linkv1.State_STATE_READY, Counts: &linkv1.Counts{Objects: count, Applied: count, Ready: count}}
	if problem != nil {
		status.State, status.Message = linkv1.State_STATE_FAILED, problem.Error()
	}
	if l.status != nil {
		status.Changed = l.status.GetChanged()
	}
	if proto.Equal(l.status, status) {
		return
	}
	status.Changed = timestamppb.Now()
	if problem != nil {
		l.config.Log.Error("cannot bring policies into force", "revision", entry.GetRevision(), "error", problem)
	}
	l.mu.Lock()
	l.status = status
	l.mu.Unlock()
	l.config.Hub.Report(status)
}

// Package policy holds the policies that the hub gave this cluster, for those who evaluate them: admission and audit. What
// cannot be loaded leaves in force what was loaded before, over restarts too, and the hub is told why.
package policy

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/policies/engine"
	"github.com/periplus-fleet/periplus/policies/parcel"
)

const (
	firstRetry = 2 * time.Second
	lastRetry  = 5 * time.Minute
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
	// Secrets keep what is in force over restarts.
	Secrets *kube.Secrets
	// Key verifies signatures; nil takes policies unsigned.
	Key ed25519.PublicKey
	Log *slog.Logger
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
	hub    Hub
	loaded func(InForce)
	used   bool

	// last is what was in force when the agent ended, until it is loaded; nil for nothing.
	last *record
	// written says that the Secret is there.
	written bool
	// kept is the entry that inForce was made of, nil for none.
	kept    *linkv1.Entry
	inForce InForce
	status  *linkv1.BundleStatus
}

// Open reads which policies were in force last; Run loads them.
func Open(ctx context.Context, config Config) (*Loader, error) {
	l := &Loader{config: config, poke: make(chan struct{}, 1)}
	secret, err := config.Secrets.Get(ctx, secretName)
	switch {
	case apierrors.IsNotFound(err):
		return l, nil
	case err != nil:
		return nil, fmt.Errorf("cannot read which policies were in force: %w", err)
	}
	l.written = true
	if l.last, err = readRecord(secret); err != nil {
		config.Log.Warn("cannot read which policies were in force: the hub's are loaded", "secret", secretName, "error", err)
	}
	return l, nil
}

// Changed says that another set was accepted.
func (l *Loader) Changed() {
	select {
	case l.poke <- struct{}{}:
	default:
	}
}

// Run loads what was in force last, and follows the accepted set until ctx ends. loaded is called, by one goroutine, when other
// policies are in force, and with none once they are gone. Where policies are not used, only their removal is carried out.
func (l *Loader) Run(ctx context.Context, used bool, hub Hub, loaded func(InForce)) error {
	l.hub, l.loaded, l.used = hub, loaded, used
	if !used {
		l.last = nil
	}
	if last := l.last; last != nil {
		l.last = nil
		if loaded, err := last.load(l.config.Key, nil); err != nil {
			l.config.Log.Warn("cannot load the policies that were in force", "revision", last.entry.GetRevision(), "error", err)
		} else {
			l.take(last.entry, loaded)
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
			return l.used && l.bring(ctx, entry)
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
	fetched, err := l.fetch(ctx, entry)
	var loaded InForce
	if err == nil {
		loaded, err = fetched.load(l.config.Key, l.inForce.Snapshot)
	}
	if err == nil {
		err = l.keep(ctx, fetched)
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

// fetch reads an entry's policies from the content that the agent holds.
func (l *Loader) fetch(ctx context.Context, entry *linkv1.Entry) (*record, error) {
	manifest, err := l.config.Desired.Manifest(ctx, content.Digest(entry.GetRevision()))
	if err != nil {
		return nil, err
	}
	digests := make([]content.Digest, len(manifest.Items))
	for i, item := range manifest.Items {
		digests[i] = item.Digest
	}
	blobs, err := l.config.Desired.Content(ctx, digests)
	return &record{entry: entry, manifest: manifest, blobs: blobs}, err
}

// keep writes down what is about to be in force.
func (l *Loader) keep(ctx context.Context, r *record) error {
	secret, err := r.secret(l.config.Secrets)
	if err == nil {
		err = l.config.Secrets.Put(ctx, secret, l.written)
	}
	if err != nil {
		return fmt.Errorf("cannot write down which policies are in force: %w", err)
	}
	l.written = true
	return nil
}

func (l *Loader) take(entry *linkv1.Entry, loaded InForce) {
	l.kept, l.inForce = entry, loaded
	l.config.Log.Info("policies are in force", "revision", loaded.Revision, "policies", len(loaded.Snapshot.Policies()))
	l.loaded(loaded)
}

func (l *Loader) drop(ctx context.Context, name string, tombstone *linkv1.Tombstone) (again bool) {
	if err := l.config.Secrets.Delete(ctx, secretName); err != nil {
		l.config.Log.Warn("cannot forget which policies were in force", "error", err)
		return true
	}
	had := l.inForce.Snapshot != nil
	l.kept, l.inForce, l.status, l.written = nil, InForce{}, nil, false
	if had {
		l.config.Log.Info("no policies are in force any more", "cause", tombstone.GetCause().GetMessage())
		l.loaded(InForce{})
	}
	l.hub.Removed(name)
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
	l.status = status
	l.hub.Report(status)
}

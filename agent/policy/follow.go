package policy

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// Follower evaluates the policies that another process, the agent, brings into force.
type Follower struct {
	Secrets *kube.Secrets
	// Key verifies signatures; nil takes policies unsigned.
	Key ed25519.PublicKey
	// Loaded is called, by one goroutine, when other policies are in force.
	Loaded func(InForce)
	Log    *slog.Logger
}

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	var snapshot *engine.Snapshot
	wait := firstRetry
	for {
		err := f.Secrets.Follow(ctx, secretName, func(secret *corev1.Secret) {
			wait = firstRetry
			if secret == nil {
				snapshot = nil
				f.Loaded(InForce{})
				return
			}
			r, err := readRecord(secret)
			var loaded InForce
			if err == nil {
				loaded, err = r.load(f.Key, snapshot)
			}
			if err != nil {
				f.Log.Error("cannot load the policies", "secret", secretName, "error", err)
				return
			}
			snapshot = loaded.Snapshot
			f.Log.Info("policies are in force", "revision", loaded.Revision, "policies", len(snapshot.Policies()))
			f.Loaded(loaded)
		})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			f.Log.Warn("cannot follow the policies", "error", err, "retry", wait.String())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, lastRetry)
	}
}

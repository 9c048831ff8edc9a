package sealed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/periplus-fleet/periplus/api/sops"
)

// Secrets are those of the agent's namespace.
type Secrets interface {
	Get(ctx context.Context, name string) (*corev1.Secret, error)
	Watch(ctx context.Context, name string) (watch.Interface, error)
}

// Keyring reads the keys of the cluster from a Secret each time that they are needed, and keeps none.
type Keyring struct {
	Secrets Secrets
	// Namespace and Name of the Secret.
	Namespace, Name string
	Log             *slog.Logger

	needed sync.Once
	wanted chan struct{}
	made   sync.Once
}

// ErrNoKeys says that the cluster has no keys to open anything with.
var ErrNoKeys = errors.New("cannot open the sealed manifest")

// Keys that the Secret holds. One that cannot be read does not keep the others from being used.
func (k *Keyring) Keys(ctx context.Context) (*sops.Keys, error) {
	k.needed.Do(func() { close(k.need()) })
	secret, err := k.Secrets.Get(ctx, k.Name)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w: Secret %q with the cluster's keys is not in namespace %q: make it with the keys *.agekey and *.asc", ErrNoKeys, k.Name, k.Namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: cannot read Secret %q with the cluster's keys: %w", ErrNoKeys, k.Name, err)
	}
	keys, err := sops.ReadKeys(secret.Data)
	switch {
	case err != nil && keys.Empty():
		return nil, fmt.Errorf("%w: Secret %q: %w", ErrNoKeys, k.Name, err)
	case err != nil:
		k.Log.Warn("a key of the cluster cannot be used", "secret", k.Name, "error", err)
	case keys.Empty():
		return nil, fmt.Errorf("%w: Secret %q holds no key: its names end in %s (age) or %s (OpenPGP)", ErrNoKeys, k.Name, sops.AgeSuffix, sops.PGPSuffix)
	}
	return keys, nil
}

// need is closed once anything sealed was to be opened.
func (k *Keyring) need() chan struct{} {
	k.made.Do(func() { k.wanted = make(chan struct{}) })
	return k.wanted
}

const (
	firstRewatch = time.Second
	lastRewatch  = 5 * time.Minute
)

// Follow calls changed whenever the Secret changed, until ctx ends. It watches nothing before something sealed was to be
// opened. Where the watch is not allowed, what failed is tried again with its own back-off alone.
func (k *Keyring) Follow(ctx context.Context, changed func()) {
	select {
	case <-k.need():
	case <-ctx.Done():
		return
	}
	version, wait := "", firstRewatch
	for ctx.Err() == nil {
		stream, err := k.Secrets.Watch(ctx, k.Name)
		if err == nil {
			wait = firstRewatch
			version = follow(ctx, stream, version, changed)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		wait = min(2*wait, lastRewatch)
	}
}

// follow reads one watch to its end; what it says at its start is no change.
func follow(ctx context.Context, stream watch.Interface, version string, changed func()) string {
	defer stream.Stop()
	for {
		select {
		case event, open := <-stream.ResultChan():
			if !open || event.Type == watch.Error {
				return version
			}
			secret, ok := event.Object.(*corev1.Secret)
			if !ok || event.Type == watch.Bookmark || secret.ResourceVersion == version {
				continue
			}
			version = secret.ResourceVersion
			changed()
		case <-ctx.Done():
			return version
		}
	}
}

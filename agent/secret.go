package agent

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/periplus-fleet/periplus/agent/identity"
	"github.com/periplus-fleet/periplus/agent/kube"
)

const (
	identityName = "periplus-agent-identity"
	tokenKey     = "token"
)

// identityConfig keeps the agent's key and certificate in a Secret, and reads the join token from another, through the
// API: the pod mounts nothing.
func identityConfig(config Config, secrets *kube.Secrets, fingerprint string) identity.Config {
	return identity.Config{
		Store: identityStore{secrets}, Endpoints: config.HubEndpoints, CAHash: config.HubCAHash,
		Version: config.Version, Fingerprint: fingerprint, Log: config.Log,
		Token: func(ctx context.Context) (string, error) { return token(ctx, secrets, config.JoinSecret) },
	}
}

func token(ctx context.Context, secrets *kube.Secrets, name string) (string, error) {
	if name == "" {
		return "", identity.ErrNoToken
	}
	secret, err := secrets.Get(ctx, name)
	if apierrors.IsNotFound(err) {
		return "", fmt.Errorf("cannot read the join token: Secret %q is not there: %w", name, identity.ErrNoToken)
	}
	if err != nil {
		return "", fmt.Errorf("cannot read the join token: %w", err)
	}
	if len(secret.Data[tokenKey]) == 0 {
		return "", fmt.Errorf("cannot read the join token: Secret %q has no key %q: %w", name, tokenKey, identity.ErrNoToken)
	}
	return string(secret.Data[tokenKey]), nil
}

// identityStore is the identity's Secret.
type identityStore struct{ secrets *kube.Secrets }

// Get is nil where there is none yet.
func (s identityStore) Get(ctx context.Context) (map[string][]byte, error) {
	secret, err := s.secrets.Get(ctx, identityName)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return secret.Data, nil
}

// Put writes all of it.
func (s identityStore) Put(ctx context.Context, data map[string][]byte) error {
	return s.secrets.Put(ctx, &corev1.Secret{ObjectMeta: s.secrets.Own(identityName, "identity"), Data: data}, true)
}

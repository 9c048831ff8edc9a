package identity

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// SecretName is the Secret of the authority, in the hub's namespace; only the control role may read it.
	SecretName = "periplus-ca"
	// InfoName is the ConfigMap of its public part.
	InfoName = "periplus-hub-info"
)

// LoadOrCreate reads the fleet's authority, or makes it at the hub's first start. A Secret that cannot be read as an
// authority is an error and never replaced: all agents would be cut off.
func LoadOrCreate(ctx context.Context, c client.Client, namespace, fleetID string) (*CA, error) {
	for {
		var secret corev1.Secret
		err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: SecretName}, &secret)
		if err == nil {
			ca, err := decodeCA(secret.Data)
			if err != nil {
				return nil, fmt.Errorf("cannot read Secret %q: %w", namespace+"/"+SecretName, err)
			}
			if fleetID != "" && ca.FleetID != fleetID {
				return nil, fmt.Errorf("cannot use Secret %q: it is of fleet %q, this hub is of %q", namespace+"/"+SecretName, ca.FleetID, fleetID)
			}
			return ca, nil
		}
		if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("cannot read Secret %q: %w", namespace+"/"+SecretName, err)
		}
		ca, err := NewCA(fleetID, time.Now())
		if err != nil {
			return nil, err
		}
		data, err := ca.parts()
		if err != nil {
			return nil, err
		}
		err = c.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: SecretName}, Data: data})
		if err == nil {
			return ca, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, fmt.Errorf("cannot write Secret %q: %w", namespace+"/"+SecretName, err)
		}
		// Another process was first: its authority counts.
	}
}

// Public is what everybody may know of the fleet's hub.
type Public struct {
	FleetID string
	// CAHash of the join line.
	CAHash string
	// TrustBundle is what agents and API clients trust, Agents what the link trusts for agents; PEM.
	TrustBundle []byte
	Agents      []byte
	// Endpoints of the link (host:port, in order of preference) and of the API.
	Endpoints   []string
	APIEndpoint string
}

// Public part of the authority, with where the hub is reached.
func (ca *CA) Public(endpoints []string, apiEndpoint string) Public {
	return Public{FleetID: ca.FleetID, CAHash: ca.Hash(), TrustBundle: ca.Roots(), Agents: ca.Agents(), Endpoints: endpoints, APIEndpoint: apiEndpoint}
}

// Publish writes the public part into its ConfigMap.
func (p Public) Publish(ctx context.Context, c client.Client, namespace string) error {
	info := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: InfoName}}
	want := map[string]string{
		"fleet-id": p.FleetID, "ca-hash": p.CAHash, "trust-bundle.crt": string(p.TrustBundle), "agent-ca.crt": string(p.Agents),
		"link-endpoints": strings.Join(p.Endpoints, "\n"), "api-endpoint": p.APIEndpoint, "api-ca.crt": string(p.TrustBundle),
	}
	err := c.Get(ctx, client.ObjectKeyFromObject(info), info)
	switch {
	case apierrors.IsNotFound(err):
		info.Data = want
		err = c.Create(ctx, info)
	case err == nil:
		info.Data = want
		err = c.Update(ctx, info)
	}
	if err != nil {
		return fmt.Errorf("cannot write ConfigMap %q: %w", namespace+"/"+InfoName, err)
	}
	return nil
}

// LoadPublic reads what the control role published.
func LoadPublic(ctx context.Context, c client.Reader, namespace string) (Public, error) {
	var info corev1.ConfigMap
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: InfoName}, &info); err != nil {
		return Public{}, fmt.Errorf("cannot read ConfigMap %q: %w", namespace+"/"+InfoName, err)
	}
	return Public{FleetID: info.Data["fleet-id"], CAHash: info.Data["ca-hash"], TrustBundle: []byte(info.Data["trust-bundle.crt"]),
		Agents: []byte(info.Data["agent-ca.crt"]), Endpoints: strings.Fields(info.Data["link-endpoints"]), APIEndpoint: info.Data["api-endpoint"]}, nil
}

package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// GraceAfterExpiry is how long an expired certificate may still be renewed by proof of its key.
	GraceAfterExpiry = 30 * 24 * time.Hour
	// proofAge is how old a proof of a key may be.
	proofAge       = 5 * time.Minute
	defaultRecheck = 5 * time.Second
	// maxCached bounds the verifier's cache.
	maxCached = 10000
)

// ErrRevoked says that a certificate may not be used any more.
var ErrRevoked = errors.New("the certificate is revoked")

// Standing is what the store says of a cluster's identity.
type Standing struct {
	// Known is false where the store has no such cluster: its FleetCluster is gone or was recreated.
	Known bool
	// Revoked are serials that may not be used; RevokedBefore revokes what was issued earlier.
	Revoked       map[string]bool
	RevokedBefore time.Time
}

// Standings looks up clusters' identities.
type Standings interface {
	Standing(ctx context.Context, clusterUID string) (Standing, error)
}

// Verifier judges agents' certificates.
type Verifier struct {
	fleet     string
	agents    *x509.CertPool
	standings Standings
	recheck   time.Duration
	now       func() time.Time

	mu    sync.Mutex
	cache map[string]cached
}

type cached struct {
	standing Standing
	until    time.Time
}

// NewVerifier makes a Verifier that trusts the agents' intermediates (PEM) of a fleet. What the store says is kept for
// recheck, default 5 s.
func NewVerifier(public Public, standings Standings, recheck time.Duration) (*Verifier, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(public.Agents) {
		return nil, errors.New("cannot read the agents' authority: it is no PEM")
	}
	if recheck == 0 {
		recheck = defaultRecheck
	}
	return &Verifier{fleet: public.FleetID, agents: pool, standings: standings, recheck: recheck, now: time.Now, cache: map[string]cached{}}, nil
}

// TLS is the link's server configuration. A client certificate is verified when one is given: Join has none yet.
func (v *Verifier) TLS(certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: certificate, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: v.agents,
		// A resumed session would skip the check of a certificate that has expired since.
		SessionTicketsDisabled: true}
}

// Agent is a verified peer.
type Agent struct {
	AgentName
	Certificate *x509.Certificate
}

// Verify judges the certificate of a connection, and says again whether it still stands when called later.
func (v *Verifier) Verify(ctx context.Context, certificate *x509.Certificate) (Agent, error) {
	return v.verify(ctx, certificate, v.now())
}

func (v *Verifier) verify(ctx context.Context, certificate *x509.Certificate, at time.Time) (Agent, error) {
	_, err := certificate.Verify(x509.VerifyOptions{Roots: v.agents, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return Agent{}, fmt.Errorf("cannot verify the certificate: %w", err)
	}
	name, err := AgentOf(certificate)
	if err != nil {
		return Agent{}, fmt.Errorf("cannot verify the certificate: %w", err)
	}
	if name.Fleet != v.fleet {
		return Agent{}, fmt.Errorf("cannot verify the certificate: it is of fleet %q", name.Fleet)
	}
	standing, err := v.standing(ctx, name.UID)
	if err != nil {
		return Agent{}, err
	}
	// A certificate is backdated for clocks that are behind; it was issued that much later than it says.
	issued := certificate.NotBefore.Add(backdate)
	switch {
	case !standing.Known:
		return Agent{}, fmt.Errorf("%w: there is no such FleetCluster any more", ErrRevoked)
	case standing.Revoked[Serial(certificate)], issued.Before(standing.RevokedBefore.Truncate(time.Second)):
		return Agent{}, ErrRevoked
	}
	return Agent{AgentName: name, Certificate: certificate}, nil
}

func (v *Verifier) standing(ctx context.Context, uid string) (Standing, error) {
	now := v.now()
	v.mu.Lock()
	entry, ok := v.cache[uid]
	v.mu.Unlock()
	if ok && now.Before(entry.until) {
		return entry.standing, nil
	}
	standing, err := v.standings.Standing(ctx, uid)
	if err != nil {
		return Standing{}, fmt.Errorf("cannot look up the identity of cluster %q: %w", uid, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.cache) >= maxCached {
		clear(v.cache)
	}
	v.cache[uid] = cached{standing: standing, until: now.Add(v.recheck)}
	return standing, nil
}

// ProofMessage is what the key of an expired certificate signs.
func ProofMessage(csr []byte, at time.Time) []byte {
	return append(append([]byte("periplus renew v1\n"), csr...), at.UTC().Format(time.RFC3339)...)
}

// VerifyExpired judges a certificate that has expired, by a proof of its key.
func (v *Verifier) VerifyExpired(ctx context.Context, der, csr, proof []byte, at time.Time) (Agent, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return Agent{}, fmt.Errorf("cannot read the expired certificate: %w", err)
	}
	now := v.now()
	switch {
	case now.After(certificate.NotAfter.Add(GraceAfterExpiry)):
		return Agent{}, errors.New("the certificate expired more than 30 days ago: use `periplus cluster rejoin`")
	case at.Before(now.Add(-proofAge)) || at.After(now.Add(proofAge)):
		return Agent{}, errors.New("the proof of the key is too old, or the cluster's clock is wrong")
	}
	public, ok := certificate.PublicKey.(*ecdsa.PublicKey)
	digest := sha256.Sum256(ProofMessage(csr, at))
	if !ok || !ecdsa.VerifyASN1(public, digest[:], proof) {
		return Agent{}, errors.New("the proof of the key does not verify")
	}
	when := now
	if when.After(certificate.NotAfter) {
		when = certificate.NotAfter
	}
	return v.verify(ctx, certificate, when)
}

func pemBlocks(data []byte) [][]byte {
	var blocks [][]byte
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return blocks
		}
		if block.Type == "CERTIFICATE" {
			blocks = append(blocks, block.Bytes)
		}
	}
}

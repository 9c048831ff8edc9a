package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/timestamppb"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

const callTimeout = 30 * time.Second

// Ensure joins until there is a certificate, or ctx ends.
func (i *Identity) Ensure(ctx context.Context) error {
	wait := i.config.MinBackoff
	for !i.Joined() {
		err := i.Join(ctx)
		if err == nil {
			break
		}
		i.config.Log.Warn("cannot join yet", "error", err)
		if !sleep(ctx, jittered(wait)) {
			return ctx.Err()
		}
		wait = min(wait*2, i.config.MaxBackoff)
	}
	return nil
}

// Join trades the join token for a certificate. The key is kept before the token is used, so that an agent that dies in
// between comes again with the same key, which is no second use.
func (i *Identity) Join(ctx context.Context) error {
	token, err := i.config.Token(ctx)
	if err != nil {
		return fmt.Errorf("cannot join: %w", err)
	}
	sum := sha256.Sum256([]byte(token))
	tokenHash := hex.EncodeToString(sum[:])
	keyPEM := []byte(i.get(keyKey))
	if i.get(keyTokenHash) != tokenHash || len(keyPEM) == 0 {
		if _, keyPEM, err = newKey(); err != nil {
			return err
		}
		if err := i.keep(ctx, map[string][]byte{keyKey: keyPEM, keyTokenHash: []byte(tokenHash), keyCertificate: nil}); err != nil {
			return err
		}
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return err
	}
	csr, err := request(key)
	if err != nil {
		return err
	}
	var fleet string
	config := &tls.Config{MinVersion: tls.VersionTLS13,
		// Only the hash of the hub's CA is known yet: the chain is verified against the root that has it.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			root, err := rootByHash(state.PeerCertificates, i.config.CAHash)
			if err != nil {
				return err
			}
			pool := x509.NewCertPool()
			pool.AddCert(root)
			fleet, err = verifyHub(state.PeerCertificates, pool, i.config.Now())
			return err
		}}
	var answer *linkv1.JoinResponse
	err = i.each(ctx, config, func(ctx context.Context, hub linkv1.LinkClient) (err error) {
		answer, err = hub.Join(ctx, &linkv1.JoinRequest{Token: token, Csr: csr, AgentVersion: i.config.Version, ClusterFingerprint: i.config.Fingerprint})
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot join: %w", err)
	}
	if answer.GetFleetId() != fleet {
		return fmt.Errorf("cannot join: the hub of fleet %q answers for fleet %q", fleet, answer.GetFleetId())
	}
	if !x509.NewCertPool().AppendCertsFromPEM(answer.GetTrustBundle()) {
		return errors.New("cannot join: the hub's trust bundle is no PEM")
	}
	i.config.Log.Info("joined", "fleet", fleet, "cluster", answer.GetCluster())
	return i.keep(ctx, map[string][]byte{keyCertificate: answer.GetCertificate(), keyTrust: answer.GetTrustBundle(), keyFleet: []byte(fleet),
		keyCluster: []byte(answer.GetCluster()), keyEndpoints: []byte(strings.Join(answer.GetEndpoints(), "\n"))})
}

// Rejected hears that the hub refuses the certificate. One that is over is renewed; else a join token that was not used yet is
// the way back.
func (i *Identity) Rejected(ctx context.Context) error {
	if current := i.certificate(); current != nil && i.config.Now().After(current.Leaf.NotAfter) {
		return i.Renew(ctx)
	}
	token, err := i.config.Token(ctx)
	if err != nil {
		return fmt.Errorf("the hub refuses this agent's certificate: use `periplus cluster rejoin`: %w", err)
	}
	sum := sha256.Sum256([]byte(token))
	if hex.EncodeToString(sum[:]) == i.get(keyTokenHash) {
		return errors.New("the hub refuses this agent's certificate, and its join token was used: use `periplus cluster rejoin`")
	}
	return i.Join(ctx)
}

// Renew trades the certificate for a fresh one with a fresh key; an expired one by a proof of its key.
func (i *Identity) Renew(ctx context.Context) error {
	before := i.certificate()
	i.renewing.Lock()
	defer i.renewing.Unlock()
	current := i.certificate()
	if current != before {
		return nil // it was renewed meanwhile
	}
	if current == nil {
		return errors.New("cannot renew: there is no certificate")
	}
	key, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	csr, err := request(key)
	if err != nil {
		return err
	}
	ask := &linkv1.RenewRequest{Csr: csr}
	if now := i.config.Now(); now.After(current.Leaf.NotAfter) {
		if err := prove(ask, current, now); err != nil {
			return err
		}
	}
	var answer *linkv1.RenewResponse
	err = i.each(ctx, i.TLS(), func(ctx context.Context, hub linkv1.LinkClient) (err error) {
		answer, err = hub.Renew(ctx, ask)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot renew the certificate: %w", err)
	}
	change := map[string][]byte{keyKey: keyPEM, keyCertificate: answer.GetCertificate()}
	if len(answer.GetTrustBundle()) > 0 {
		change[keyTrust] = answer.GetTrustBundle()
	}
	if len(answer.GetEndpoints()) > 0 {
		change[keyEndpoints] = []byte(strings.Join(answer.GetEndpoints(), "\n"))
	}
	return i.keep(ctx, change)
}

func prove(ask *linkv1.RenewRequest, current *tls.Certificate, now time.Time) error {
	key, ok := current.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return errors.New("cannot renew: the key is not ECDSA")
	}
	message := append(append([]byte("periplus renew v1\n"), ask.GetCsr()...), now.UTC().Format(time.RFC3339)...)
	digest := sha256.Sum256(message)
	proof, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return fmt.Errorf("cannot sign the proof of the key: %w", err)
	}
	ask.ExpiredCertificate, ask.ProofTime, ask.Proof = current.Certificate[0], timestamppb.New(now.Truncate(time.Second)), proof
	return nil
}

// Run renews the certificate at two thirds of its life, a little earlier or later at each agent, until ctx ends.
func (i *Identity) Run(ctx context.Context) error {
	wait := i.config.MinBackoff
	for {
		i.mu.Lock()
		cert, renewed := i.cert, i.renewed
		i.mu.Unlock()
		due := i.config.MaxBackoff
		if cert != nil {
			due = renewIn(cert.Leaf, i.config.Now(), mathrand.Float64())
		}
		timer := time.NewTimer(due)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-renewed:
			timer.Stop()
			continue
		case <-timer.C:
		}
		if cert == nil {
			continue
		}
		if err := i.Renew(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			i.config.Log.Warn("the certificate is not renewed yet", "error", err)
			sleep(ctx, jittered(wait))
			wait = min(wait*2, i.config.MaxBackoff)
			continue
		}
		wait = i.config.MinBackoff
		i.config.Log.Info("renewed the certificate")
	}
}

// renewIn is how long to wait with a renewal, by random in [0, 1). Of a life that is short beside what it is dated back, the
// time to renew is over at once: then a part of what is left passes first, so that renewals do not chase each other.
func renewIn(leaf *x509.Certificate, now time.Time, random float64) time.Duration {
	return max(renewAt(leaf, random).Sub(now), min(leaf.NotAfter.Sub(now)/3, time.Minute), 0)
}

// renewAt is between 60 % and 72 % of the certificate's life, by random in [0, 1).
func renewAt(leaf *x509.Certificate, random float64) time.Time {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	return leaf.NotBefore.Add(time.Duration(float64(life) * (0.60 + 0.12*random)))
}

// each tries the hub's endpoints in order.
func (i *Identity) each(ctx context.Context, config *tls.Config, call func(context.Context, linkv1.LinkClient) error) error {
	var all []error
	for _, endpoint := range i.Endpoints() {
		err := i.dial(ctx, endpoint, config, call)
		if err == nil {
			return nil
		}
		all = append(all, fmt.Errorf("%s: %w", endpoint, err))
	}
	if len(all) == 0 {
		return errors.New("no endpoint of the hub is known")
	}
	return errors.Join(all...)
}

func (i *Identity) dial(ctx context.Context, endpoint string, config *tls.Config, call func(context.Context, linkv1.LinkClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		return err
	}
	defer conn.Close()
	return call(ctx, linkv1.NewLinkClient(conn))
}

func jittered(wait time.Duration) time.Duration {
	return time.Duration(float64(wait) * (0.5 + mathrand.Float64()))
}

func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

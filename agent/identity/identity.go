// Package identity is who the agent is on the link: its key and certificate, kept in a Secret of its own namespace, got by a
// join token at first and renewed early from then on. It also judges the hub: the hash in the join line before a token is
// sent, afterwards the trust bundle and the hub's name in the fleet.
package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Keys of the agent's identity Secret.
const (
	keyKey         = "tls.key"
	keyCertificate = "tls.crt"
	keyTrust       = "trust-bundle.crt"
	keyFleet       = "fleet-id"
	keyCluster     = "cluster"
	keyEndpoints   = "endpoints"
	keyTokenHash   = "token-hash"
)

// ErrNoToken says that there is neither an identity nor a join token.
var ErrNoToken = errors.New("there is no join token")

// Store keeps the agent's identity, such as in Secret periplus-agent-identity.
type Store interface {
	// Get is nil where there is none yet.
	Get(ctx context.Context) (map[string][]byte, error)
	Put(ctx context.Context, data map[string][]byte) error
}

// Config of an Identity.
type Config struct {
	Store Store
	// Endpoints (host:port) and CAHash ("sha256:<hex>") are those of the join line.
	Endpoints []string
	CAHash    string
	// Token reads the join token; ErrNoToken where there is none.
	Token func(ctx context.Context) (string, error)
	// Version of the agent, and Fingerprint: the UID of the kube-system namespace.
	Version     string
	Fingerprint string
	// MinBackoff and MaxBackoff bound the wait between tries, default 1 s and 1 min.
	MinBackoff time.Duration
	MaxBackoff time.Duration
	Log        *slog.Logger
	// Renewed is called when there is another certificate; nil for nobody.
	Renewed func()
	// Now is the clock, default time.Now.
	Now func() time.Time
}

// Identity of the agent.
type Identity struct {
	config Config

	// renewing is held during a renewal: one at a time.
	renewing sync.Mutex

	mu   sync.Mutex
	data map[string][]byte
	cert *tls.Certificate // nil before the first join
	// renewed is closed and replaced when the certificate changes.
	renewed chan struct{}
}

// Open reads what the cluster keeps.
func Open(ctx context.Context, config Config) (*Identity, error) {
	if config.MinBackoff == 0 {
		config.MinBackoff = time.Second
	}
	if config.MaxBackoff == 0 {
		config.MaxBackoff = time.Minute
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	data, err := config.Store.Get(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read the agent's identity: %w", err)
	}
	i := &Identity{config: config, data: data, renewed: make(chan struct{})}
	if len(data[keyCertificate]) > 0 {
		if i.cert, err = certificateOf(data[keyCertificate], data[keyKey]); err != nil {
			// What was accepted is kept up all the same; only the way to the hub has to be found anew.
			config.Log.Error("the agent's identity is lost: it joins again if its join token was not used, else use `periplus cluster rejoin`", "error", err)
			i.data, i.cert = nil, nil
		}
	}
	return i, nil
}

// Joined says whether there is a certificate.
func (i *Identity) Joined() bool { return i.certificate() != nil }

// FleetID that the agent joined.
func (i *Identity) FleetID() string { return i.get(keyFleet) }

// Cluster is namespace/name of the FleetCluster that the agent joined as.
func (i *Identity) Cluster() string { return i.get(keyCluster) }

func (i *Identity) get(key string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return string(i.data[key])
}

func (i *Identity) certificate() *tls.Certificate {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.cert
}

// Endpoints of the hub in order of preference: what the hub said last, then the join line's.
func (i *Identity) Endpoints() []string {
	seen, list := map[string]bool{}, []string{}
	for _, endpoint := range append(strings.Fields(i.get(keyEndpoints)), i.config.Endpoints...) {
		if !seen[endpoint] {
			seen[endpoint] = true
			list = append(list, endpoint)
		}
	}
	return list
}

// Learn keeps the trust bundle and the endpoints that the hub says; it writes only when they changed.
func (i *Identity) Learn(ctx context.Context, bundle []byte, endpoints []string) error {
	change := map[string][]byte{}
	if len(bundle) > 0 {
		if !x509.NewCertPool().AppendCertsFromPEM(bundle) {
			return errors.New("cannot keep the hub's trust bundle: it is no PEM")
		}
		change[keyTrust] = bundle
	}
	if len(endpoints) > 0 {
		change[keyEndpoints] = []byte(strings.Join(endpoints, "\n"))
	}
	return i.keep(ctx, change)
}

// keep writes changed keys, durably first.
func (i *Identity) keep(ctx context.Context, change map[string][]byte) error {
	i.mu.Lock()
	next, changed := map[string][]byte{}, false
	for key, value := range i.data {
		next[key] = value
	}
	i.mu.Unlock()
	for key, value := range change {
		changed = changed || string(next[key]) != string(value)
		next[key] = value
	}
	if !changed {
		return nil
	}
	var cert *tls.Certificate
	if len(next[keyCertificate]) > 0 {
		var err error
		if cert, err = certificateOf(next[keyCertificate], next[keyKey]); err != nil {
			return fmt.Errorf("cannot keep the agent's identity: %w", err)
		}
	}
	if err := i.config.Store.Put(ctx, next); err != nil {
		return fmt.Errorf("cannot keep the agent's identity: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	other := i.cert != nil && cert != nil && !i.cert.Leaf.Equal(cert.Leaf)
	i.data, i.cert = next, cert
	if other && i.config.Renewed != nil {
		i.config.Renewed()
	}
	close(i.renewed)
	i.renewed = make(chan struct{})
	return nil
}

// TLS of connections to the hub: always the newest certificate, and a hub of this fleet only.
func (i *Identity) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if cert := i.certificate(); cert != nil && time.Now().Before(cert.Leaf.NotAfter) {
				return cert, nil
			}
			return &tls.Certificate{}, nil
		},
		// The hub is known by its name in the fleet, not by the address that it is dialed at: verifyHub does it.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			pool := x509.NewCertPool()
			if !pool.AppendCertsFromPEM([]byte(i.get(keyTrust))) {
				return errors.New("cannot verify the hub: the agent has no trust bundle")
			}
			fleet, err := verifyHub(state.PeerCertificates, pool, i.config.Now())
			if err == nil && fleet != i.FleetID() {
				err = fmt.Errorf("cannot verify the hub: it is the hub of fleet %q, this agent is of %q", fleet, i.FleetID())
			}
			return err
		},
	}
}

// maxBehind is how far this cluster's clock may be behind the hub's. A certificate of the fleet's own CA that begins a little
// later is a fresh one; one that is over is never taken.
const maxBehind = 2 * time.Hour

// judged is when a chain is judged: now, or when all of it is valid if that is soon.
func judged(chain []*x509.Certificate, now time.Time) time.Time {
	at := now
	for _, certificate := range chain {
		if certificate.NotBefore.After(at) && certificate.NotBefore.Sub(now) <= maxBehind {
			at = certificate.NotBefore
		}
	}
	return at
}

// verifyHub checks a hub's chain and says which fleet it is the hub of.
func verifyHub(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) (fleet string, err error) {
	if len(chain) == 0 {
		return "", errors.New("cannot verify the hub: it showed no certificate")
	}
	between := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		between.AddCert(certificate)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: judged(chain, now), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		var invalid x509.CertificateInvalidError
		if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
			return "", fmt.Errorf("cannot verify the hub: %w; this cluster's clock says %s: is it right?", err, now.UTC().Format(time.RFC3339))
		}
		return "", fmt.Errorf("cannot verify the hub: %w", err)
	}
	for _, uri := range chain[0].URIs {
		if uri.Scheme == "periplus" && uri.Host != "" && uri.Path == "/hub" {
			return uri.Host, nil
		}
	}
	return "", errors.New("cannot verify the hub: its certificate is not that of a hub")
}

// rootByHash finds the certificate in a chain whose public key has the hash of the join line.
func rootByHash(chain []*x509.Certificate, hash string) (*x509.Certificate, error) {
	for _, certificate := range chain {
		sum := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
		if "sha256:"+hex.EncodeToString(sum[:]) == strings.ToLower(hash) {
			return certificate, nil
		}
	}
	return nil, fmt.Errorf("cannot verify the hub: its CA is not %s; is the join line this hub's?", hash)
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot encode key: %w", err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

func parseKey(data []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("the key is no PEM")
	}
	return x509.ParseECPrivateKey(block.Bytes)
}

func request(key *ecdsa.PrivateKey) ([]byte, error) {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "periplus-agent"}}, key)
	if err != nil {
		return nil, fmt.Errorf("cannot make certificate request: %w", err)
	}
	return csr, nil
}

func certificateOf(chain, key []byte) (*tls.Certificate, error) {
	certificate, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	if certificate.Leaf == nil {
		if certificate.Leaf, err = x509.ParseCertificate(certificate.Certificate[0]); err != nil {
			return nil, err
		}
	}
	return &certificate, nil
}

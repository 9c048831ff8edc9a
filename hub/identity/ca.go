package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"
)

// Lifetimes. An agent's and a server's certificate live as the issuer is configured.
const (
	rootLife         = 20 * 365 * 24 * time.Hour
	intermediateLife = 10 * 365 * 24 * time.Hour
	// backdate lets a peer whose clock is behind use a fresh certificate.
	backdate = 5 * time.Minute
)

// pair is a certificate with its key.
type pair struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// CA is the fleet's certificate authority.
type CA struct {
	FleetID string
	root    pair
	hub     pair
	agent   pair
}

// NewCA makes a fleet's authority. Hub and agents have separate intermediates, each bound to its key usage, so that an agent
// can never pass for a hub.
func NewCA(fleetID string, now time.Time) (*CA, error) {
	ca := &CA{FleetID: fleetID}
	root, err := makeAuthority("Periplus "+fleetID, nil, nil, now, rootLife)
	if err != nil {
		return nil, err
	}
	ca.root = root
	if ca.hub, err = makeAuthority("Periplus hub "+fleetID, &root, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, now, intermediateLife); err != nil {
		return nil, err
	}
	if ca.agent, err = makeAuthority("Periplus agents "+fleetID, &root, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, now, intermediateLife); err != nil {
		return nil, err
	}
	return ca, nil
}

func makeAuthority(name string, parent *pair, usage []x509.ExtKeyUsage, now time.Time, life time.Duration) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("cannot make key of %q: %w", name, err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-backdate), NotAfter: now.Add(life),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: 1, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, ExtKeyUsage: usage,
	}
	signer := &pair{certificate: template, key: key}
	if parent != nil {
		signer = parent
		template.MaxPathLen, template.MaxPathLenZero = 0, true
	}
	certificate, err := sign(template, signer, key.Public())
	return pair{certificate: certificate, key: key}, err
}

func sign(template *x509.Certificate, signer *pair, public crypto.PublicKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, signer.certificate, public, signer.key)
	if err != nil {
		return nil, fmt.Errorf("cannot sign certificate of %q: %w", template.Subject.CommonName, err)
	}
	return x509.ParseCertificate(der)
}

func serial() *big.Int {
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		// crypto/rand never fails on the platforms that Go supports; a zero serial would be refused when it is used.
		return new(big.Int)
	}
	return number
}

// SignAgent issues an agent's certificate for the key of a request; the names in the request are ignored. It returns the
// chain as PEM, leaf first, and the leaf.
func (ca *CA) SignAgent(csr []byte, name AgentName, life time.Duration, now time.Time) ([]byte, *x509.Certificate, error) {
	public, err := requestedKey(csr)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := sign(&x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name.Cluster()}, NotBefore: now.Add(-backdate), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, URIs: []*url.URL{name.URI()},
	}, &ca.agent, public)
	if err != nil {
		return nil, nil, err
	}
	return encodeCertificates(leaf, ca.agent.certificate), leaf, nil
}

// SignServer issues a hub process's certificate. The root goes with the chain: an agent that joins knows only its hash.
func (ca *CA) SignServer(csr []byte, life time.Duration, now time.Time) ([]byte, *x509.Certificate, error) {
	public, err := requestedKey(csr)
	if err != nil {
		return nil, nil, err
	}
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read certificate request: %w", err)
	}
	leaf, err := sign(&x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "periplus-hub"}, NotBefore: now.Add(-backdate), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		URIs: []*url.URL{HubURI(ca.FleetID)}, DNSNames: request.DNSNames, IPAddresses: request.IPAddresses,
	}, &ca.hub, public)
	if err != nil {
		return nil, nil, err
	}
	return encodeCertificates(leaf, ca.hub.certificate, ca.root.certificate), leaf, nil
}

// requestedKey is the key of a request that is signed by that key.
func requestedKey(csr []byte) (crypto.PublicKey, error) {
	request, err := x509.ParseCertificateRequest(csr)
	if err == nil {
		err = request.CheckSignature()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read certificate request: %w", err)
	}
	public, ok := request.PublicKey.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, errors.New("cannot read certificate request: its key must be ECDSA P-256")
	}
	return public, nil
}

// KeyHash is the lower-case hex sha256 of a certificate request's public key.
func KeyHash(csr []byte) (string, error) {
	request, err := x509.ParseCertificateRequest(csr)
	if err == nil {
		err = request.CheckSignature()
	}
	if err != nil {
		return "", fmt.Errorf("cannot read certificate request: %w", err)
	}
	sum := sha256.Sum256(request.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:]), nil
}

// NewRequest makes a key and a signed request for it. Names are for servers only.
func NewRequest(names []string) (key *ecdsa.PrivateKey, csr []byte, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, fmt.Errorf("cannot make key: %w", err)
	}
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "periplus"}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	if csr, err = x509.CreateCertificateRequest(rand.Reader, template, key); err != nil {
		return nil, nil, fmt.Errorf("cannot make certificate request: %w", err)
	}
	return key, csr, nil
}

// Hash names the authority in a join line: "sha256:<hex of the root's SubjectPublicKeyInfo>".
func (ca *CA) Hash() string {
	sum := sha256.Sum256(ca.root.certificate.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Roots are the certificates that agents trust, PEM.
func (ca *CA) Roots() []byte { return encodeCertificates(ca.root.certificate) }

// Agents is the agents' intermediate, PEM: the link trusts no other for agents.
func (ca *CA) Agents() []byte { return encodeCertificates(ca.agent.certificate) }

func encodeCertificates(certificates ...*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, certificate := range certificates {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}) // a bytes.Buffer takes everything
	}
	return out.Bytes()
}

// parts are the authority as a Secret's data.
func (ca *CA) parts() (map[string][]byte, error) {
	data := map[string][]byte{"fleet-id": []byte(ca.FleetID)}
	for name, p := range map[string]pair{"root": ca.root, "hub": ca.hub, "agent": ca.agent} {
		key, err := x509.MarshalECPrivateKey(p.key)
		if err != nil {
			return nil, fmt.Errorf("cannot encode key %q: %w", name, err)
		}
		data[name+".crt"] = encodeCertificates(p.certificate)
		data[name+".key"] = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key})
	}
	return data, nil
}

func decodeCA(data map[string][]byte) (*CA, error) {
	ca := &CA{FleetID: string(data["fleet-id"])}
	if ca.FleetID == "" {
		return nil, errors.New("key fleet-id is missing")
	}
	for name, p := range map[string]*pair{"root": &ca.root, "hub": &ca.hub, "agent": &ca.agent} {
		certificates, key := pemBytes(data[name+".crt"]), pemBytes(data[name+".key"])
		if certificates == nil || key == nil {
			return nil, fmt.Errorf("%s.crt or %s.key is no PEM", name, name)
		}
		var err error
		if p.certificate, err = x509.ParseCertificate(certificates); err != nil {
			return nil, fmt.Errorf("%s.crt: %w", name, err)
		}
		if p.key, err = x509.ParseECPrivateKey(key); err != nil {
			return nil, fmt.Errorf("%s.key: %w", name, err)
		}
		if !p.key.PublicKey.Equal(p.certificate.PublicKey) {
			return nil, fmt.Errorf("%s.key is not the key of %s.crt", name, name)
		}
	}
	return ca, nil
}

func pemBytes(data []byte) []byte {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil
	}
	return block.Bytes
}

package admission

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/periplus-fleet/periplus/agent/kube"
)

const (
	secretName = "periplus-admission"
	authority  = "ca.crt"
	authorKey  = "ca.key"

	authorityLife, authorityRenew = 365 * 24 * time.Hour, 120 * 24 * time.Hour
	servingLife, servingRenew     = 90 * 24 * time.Hour, 30 * 24 * time.Hour
	// notYet covers clocks that differ.
	notYet     = 2 * time.Hour
	checkEvery = time.Hour
	retryEvery = 10 * time.Second
)

// Certificates are what API servers know the webhook by: an authority of its own, kept in a Secret, and certificates by it. The
// agent makes and renews them; who only answers follows the Secret.
type Certificates struct {
	Secrets *kube.Secrets
	// Hosts are the names and addresses that API servers reach the webhook by.
	Hosts []string
	// Renewed is called with the authorities to trust, PEM, at the start and whenever they changed.
	Renewed func(authorities []byte)
	Now     func() time.Time
	Log     *slog.Logger

	current atomic.Pointer[tls.Certificate]
}

// Certificate that API servers are shown.
func (c *Certificates) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if current := c.current.Load(); current != nil {
		return current, nil
	}
	return nil, errors.New("there is no certificate yet")
}

// Keep makes and renews the certificates until ctx ends.
func (c *Certificates) Keep(ctx context.Context) error {
	var told []byte
	for {
		wait := checkEvery
		authorities, err := c.renew(ctx)
		switch {
		case err != nil:
			c.Log.Warn("cannot keep the certificates of admission", "error", err)
			wait = retryEvery
		case !bytes.Equal(told, authorities):
			told = authorities
			c.Renewed(authorities)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// Follow takes the certificates that the agent keeps, until ctx ends.
func (c *Certificates) Follow(ctx context.Context) error {
	for {
		err := c.Secrets.Follow(ctx, secretName, func(secret *corev1.Secret) {
			if secret == nil {
				return
			}
			if err := c.take(secret.Data); err != nil {
				c.Log.Warn("cannot read the certificate of admission", "error", err)
			}
		})
		if err != nil && ctx.Err() == nil {
			c.Log.Warn("cannot follow the certificate of admission", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryEvery):
		}
	}
}

// renew brings the Secret up to date and returns the authorities to trust. A new authority is trusted before anything is signed
// by it is shown: it signs no sooner than the next certificate is due.
func (c *Certificates) renew(ctx context.Context) ([]byte, error) {
	secret, err := c.Secrets.Get(ctx, secretName)
	exists := !apierrors.IsNotFound(err)
	if exists && err != nil {
		return nil, err
	}
	data := map[string][]byte{}
	if exists {
		data = secret.Data
	}
	changed, err := c.refresh(data)
	if err != nil {
		return nil, err
	}
	if changed {
		fresh := &corev1.Secret{ObjectMeta: c.Secrets.Own(secretName, "admission"), Data: data}
		if err := c.Secrets.Put(ctx, fresh, exists); err != nil {
			return nil, fmt.Errorf("cannot write Secret %q: %w", secretName, err)
		}
	}
	return data[authority], c.take(data)
}

// refresh replaces in data what is missing, spoilt or old.
func (c *Certificates) refresh(data map[string][]byte) (changed bool, err error) {
	now := c.Now()
	authorities := slices.DeleteFunc(certificates(data[authority]), func(one *x509.Certificate) bool { return now.After(one.NotAfter) })
	key := privateKey(data[authorKey])
	if len(authorities) == 0 || key == nil || !key.PublicKey.Equal(authorities[0].PublicKey) || authorities[0].NotAfter.Sub(now) < authorityRenew {
		made, signer, err := c.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "periplus admission"}, IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign, NotBefore: now.Add(-notYet), NotAfter: now.Add(authorityLife)}, nil, nil)
		if err != nil {
			return false, err
		}
		// The newest first.
		authorities, key, changed = append([]*x509.Certificate{made}, authorities...), signer, true
		if data[authorKey], err = encodeKey(signer); err != nil {
			return false, err
		}
	}
	serving := certificates(data[corev1.TLSCertKey])
	if len(serving) == 0 || serving[0].NotAfter.Sub(now) < servingRenew || !c.names(serving[0]) || !issued(serving[0], authorities) || privateKey(data[corev1.TLSPrivateKeyKey]) == nil {
		template := &x509.Certificate{Subject: pkix.Name{CommonName: c.Hosts[0]}, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: now.Add(-notYet), NotAfter: now.Add(servingLife)}
		for _, host := range c.Hosts {
			if ip := net.ParseIP(host); ip != nil {
				template.IPAddresses = append(template.IPAddresses, ip)
			} else {
				template.DNSNames = append(template.DNSNames, host)
			}
		}
		made, own, err := c.sign(template, authorities[0], key)
		if err != nil {
			return false, err
		}
		if data[corev1.TLSPrivateKeyKey], err = encodeKey(own); err != nil {
			return false, err
		}
		data[corev1.TLSCertKey], changed = encodeCertificates(made), true
	}
	if changed {
		data[authority] = encodeCertificates(authorities...)
	}
	return changed, nil
}

// names says whether a certificate is for all hosts.
func (c *Certificates) names(certificate *x509.Certificate) bool {
	for _, host := range c.Hosts {
		if certificate.VerifyHostname(host) != nil {
			return false
		}
	}
	return true
}

func issued(certificate *x509.Certificate, authorities []*x509.Certificate) bool {
	return slices.ContainsFunc(authorities, func(one *x509.Certificate) bool { return certificate.CheckSignatureFrom(one) == nil })
}

// sign makes a certificate with a new key; without an authority it signs itself.
func (c *Certificates) sign(template, by *x509.Certificate, with *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, nil, err
	}
	if by == nil {
		by, with = template, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, by, &key.PublicKey, with)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	made, err := x509.ParseCertificate(raw)
	return made, key, err
}

func (c *Certificates) take(data map[string][]byte) error {
	pair, err := tls.X509KeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return err
	}
	c.current.Store(&pair)
	return nil
}

func certificates(data []byte) []*x509.Certificate {
	var out []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if one, err := x509.ParseCertificate(block.Bytes); err == nil {
			out = append(out, one)
		}
	}
	return out
}

func encodeCertificates(all ...*x509.Certificate) []byte {
	var out []byte
	for _, one := range all {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.Raw})...)
	}
	return out
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), nil
}

func privateKey(data []byte) *ecdsa.PrivateKey {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil
	}
	key, _ := parsed.(*ecdsa.PrivateKey)
	return key
}

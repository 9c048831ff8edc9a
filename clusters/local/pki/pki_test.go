package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/clusters/local/pki"
)

func TestIssue(t *testing.T) {
	ca, err := pki.NewCA("test")
	if err != nil {
		t.Fatal(err)
	}
	other, err := pki.NewCA("test")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		reason string
		issue  func() (pki.Pair, error)
		roots  pki.Pair
		usage  x509.ExtKeyUsage
		host   string
		valid  bool
	}{
		"ServingByAddress": {reason: "API servers listen on addresses", issue: func() (pki.Pair, error) { return ca.Serving("kubernetes", "127.0.0.1") }, roots: ca, usage: x509.ExtKeyUsageServerAuth, host: "127.0.0.1", valid: true},
		"ServingByName":    {reason: "and have names", issue: func() (pki.Pair, error) { return ca.Serving("kubernetes", "127.0.0.1") }, roots: ca, usage: x509.ExtKeyUsageServerAuth, host: "kubernetes", valid: true},
		"OtherHost":        {reason: "a certificate is for its hosts only", issue: func() (pki.Pair, error) { return ca.Serving("kubernetes") }, roots: ca, usage: x509.ExtKeyUsageServerAuth, host: "example.com"},
		"OtherCA":          {reason: "two CAs of one name do not trust each other", issue: func() (pki.Pair, error) { return ca.Serving("kubernetes") }, roots: other, usage: x509.ExtKeyUsageServerAuth, host: "kubernetes"},
		"ClientIsNoServer": {reason: "a user cannot pose as the API server", issue: func() (pki.Pair, error) { return ca.Client("kubernetes") }, roots: ca, usage: x509.ExtKeyUsageServerAuth},
		"Client":           {reason: "users authenticate by certificate", issue: func() (pki.Pair, error) { return ca.Client("admin", "system:masters") }, roots: ca, usage: x509.ExtKeyUsageClientAuth, valid: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			pair, err := tc.issue()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tls.X509KeyPair(pair.Cert, pair.Key); err != nil {
				t.Fatalf("certificate and key do not fit: %v", err)
			}
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(tc.roots.Cert)
			block, _ := pem.Decode(pair.Cert)
			leaf, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: tc.host, KeyUsages: []x509.ExtKeyUsage{tc.usage}})
			if diff := cmp.Diff(tc.valid, err == nil); diff != "" {
				t.Errorf("%s: %v", tc.reason, err)
			}
		})
	}
}

package admission

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// A certificate is renewed in time, an authority long before; what was trusted stays trusted until it ends.
func TestRefresh(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	c := &Certificates{Hosts: []string{"svc.ns.svc", "127.0.0.1"}, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	data := map[string][]byte{}
	refresh := func(reason string, want bool) (authorities, serving []byte) {
		t.Helper()
		changed, err := c.refresh(data)
		if err != nil || changed != want {
			t.Fatalf("%s: changed %v, error %v", reason, changed, err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(data[authority])
		own := certificates(data[corev1.TLSCertKey])[0]
		for _, host := range c.Hosts {
			if _, err := own.Verify(x509.VerifyOptions{DNSName: host, Roots: pool, CurrentTime: now}); err != nil {
				t.Fatalf("%s: the certificate is not good for %s: %v", reason, host, err)
			}
		}
		return bytes.Clone(data[authority]), bytes.Clone(data[corev1.TLSCertKey])
	}
	ca, serving := refresh("nothing is there", true)
	refresh("all is fresh", false)
	now = now.Add(servingLife - servingRenew + time.Hour)
	ca2, serving2 := refresh("the certificate ends in less than 30 days", true)
	if !bytes.Equal(ca, ca2) || bytes.Equal(serving, serving2) {
		t.Error("only the certificate is made anew")
	}
	now = now.Add(authorityLife - authorityRenew - (servingLife - servingRenew))
	ca3, _ := refresh("the authority ends in less than 120 days", true)
	if len(certificates(ca3)) != 2 || !bytes.HasSuffix(ca3, ca) {
		t.Error("a new authority stands before the old one")
	}
	now = now.Add(authorityRenew)
	ca4, _ := refresh("the old authority ended", true)
	if len(certificates(ca4)) != 1 {
		t.Error("an authority that ended is trusted no more")
	}
	data[corev1.TLSPrivateKeyKey] = []byte("spoilt")
	refresh("the key is spoilt", true)
	c.Hosts = append(c.Hosts, "other.example.com")
	refresh("there is another name", true)
	data[authorKey] = nil
	refresh("the authority's key is lost", true)
}

package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"testing"
	"time"
)

type standings map[string]Standing

func (s standings) Standing(_ context.Context, uid string) (Standing, error) { return s[uid], nil }

func newTestCA(t *testing.T, fleet string) *CA {
	t.Helper()
	ca, err := NewCA(fleet, time.Now().Add(-60*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func newTestAgent(t *testing.T, ca *CA, name AgentName, issued time.Time) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, csr, err := NewRequest(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, leaf, err := ca.SignAgent(csr, name, 24*time.Hour, issued)
	if err != nil {
		t.Fatal(err)
	}
	return leaf, key
}

func TestJudge(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cluster := &Current{Namespace: "fleet", Name: "c1", UID: "u1"}
	token := func(change func(*Token)) *Token {
		token := &Token{Namespace: "fleet", Cluster: "c1", ClusterUID: "u1", Expires: now.Add(time.Hour), Uses: 1}
		change(token)
		return token
	}
	join := Request{Kind: KindJoin, PublicKeyHash: "k1"}
	living := []Certificate{{Serial: "1", ClusterUID: "u1", PublicKeyHash: "k0", Issued: now.Add(-time.Hour), Expires: now.Add(time.Hour)}}
	renew := Request{Kind: KindRenew, ClusterUID: "u1", OldSerial: "1"}
	cases := map[string]struct {
		reason  string
		known   Known
		cluster *Current
		want    string
	}{
		"Good":         {"a fresh token", Known{Request: join, Token: token(func(*Token) {})}, cluster, ""},
		"Unknown":      {"no such token", Known{Request: join}, cluster, codeUnauthenticated},
		"Expired":      {"tokens have their time", Known{Request: join, Token: token(func(t *Token) { t.Expires = now.Add(-time.Second) })}, cluster, codeUnauthenticated},
		"UsedUp":       {"uses are counted", Known{Request: join, Token: token(func(t *Token) { t.Used = 1 })}, cluster, codeUnauthenticated},
		"SameKeyAgain": {"the same key is no new use", Known{Request: join, Token: token(func(t *Token) { t.Used = 1 }), KeyUsedToken: true}, cluster, ""},
		"NoCluster":    {"a token names a FleetCluster", Known{Request: join, Token: token(func(*Token) {})}, nil, codeNotFound},
		"Recreated":    {"another uid is another cluster", Known{Request: join, Token: token(func(t *Token) { t.ClusterUID = "u0" })}, cluster, codeNotFound},
		"Living":       {"a living identity is not replaced in passing", Known{Request: join, Token: token(func(*Token) {}), Certificates: living}, cluster, codeAlreadyExists},
		"Rejoin":       {"but with a rejoin token", Known{Request: join, Token: token(func(t *Token) { t.Rejoin = true }), Certificates: living}, cluster, ""},
		"NotBefore": {"notBefore ends what was living", Known{Request: join, Token: token(func(*Token) {}), Certificates: living},
			&Current{Namespace: "fleet", Name: "c1", UID: "u1", NotBefore: now}, ""},
		"Renew":        {"a known certificate", Known{Request: renew, Certificates: living}, cluster, ""},
		"RenewRevoked": {"a revoked one", Known{Request: renew, Certificates: []Certificate{{Serial: "1", ClusterUID: "u1", Revoked: true}}}, cluster, codeUnauthenticated},
		"RenewOld": {"one issued before notBefore", Known{Request: renew, Certificates: living},
			&Current{UID: "u1", NotBefore: now}, codeUnauthenticated},
		"RenewGone":  {"of a cluster that is another now", Known{Request: renew, Certificates: living}, &Current{UID: "u2"}, codeUnauthenticated},
		"HubProcess": {"hub processes ask inside the hub", Known{Request: Request{Kind: KindServer}}, nil, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := judge(c.known, c.cluster, "", now); got.code != c.want {
				t.Errorf("%s: got %q (%s), want %q", c.reason, got.code, got.reason, c.want)
			}
		})
	}
}

func TestJudgeDenied(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cluster := &Current{Namespace: "fleet", Name: "c1", UID: "u1"}
	token := &Token{Namespace: "fleet", Cluster: "c1", ClusterUID: "u1", Expires: now.Add(time.Hour), Uses: 1}
	cases := map[string]struct {
		reason string
		known  Known
		want   refusal
	}{
		"Join":     {"policy decides on who has a good token", Known{Request: Request{Kind: KindJoin}, Token: token}, refusal{codeDenied, "policy p denies"}},
		"NoToken":  {"nobody else is told of policies", Known{Request: Request{Kind: KindJoin}}, refusal{codeUnauthenticated, "the join token is not known"}},
		"Renewing": {"who is in stays in", Known{Request: Request{Kind: KindRenew, ClusterUID: "u1"}}, refusal{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := judge(c.known, cluster, "policy p denies", now); got != c.want {
				t.Errorf("%s: got %v, want %v", c.reason, got, c.want)
			}
		})
	}
}

func TestVerify(t *testing.T) {
	now := time.Now()
	ca, other := newTestCA(t, "f1"), newTestCA(t, "f1")
	name := AgentName{Fleet: "f1", Namespace: "fleet", Name: "c1", UID: "u1"}
	good, _ := newTestAgent(t, ca, name, now)
	revoked, _ := newTestAgent(t, ca, name, now)
	old, _ := newTestAgent(t, ca, name, now.Add(-time.Hour))
	expired, _ := newTestAgent(t, ca, name, now.Add(-48*time.Hour))
	gone, _ := newTestAgent(t, ca, AgentName{Fleet: "f1", Namespace: "fleet", Name: "c1", UID: "u0"}, now)
	otherFleet, _ := newTestAgent(t, ca, AgentName{Fleet: "f2", Namespace: "fleet", Name: "c1", UID: "u1"}, now)
	forged, _ := newTestAgent(t, other, name, now)
	_, csr, err := NewRequest(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, hub, err := ca.SignServer(csr, time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := NewVerifier(ca.Public(nil, ""), standings{"u1": {Known: true, Revoked: map[string]bool{Serial(revoked): true}, RevokedBefore: now.Add(-time.Minute)}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		reason      string
		certificate *x509.Certificate
		ok, revoked bool
	}{
		"Good":       {reason: "a current agent", certificate: good, ok: true},
		"Revoked":    {reason: "by serial", certificate: revoked, revoked: true},
		"Old":        {reason: "issued before the revocation of all", certificate: old, revoked: true},
		"Gone":       {reason: "of a FleetCluster that is gone", certificate: gone, revoked: true},
		"Expired":    {reason: "its time is over", certificate: expired},
		"OtherFleet": {reason: "of another fleet", certificate: otherFleet},
		"Forged":     {reason: "of another authority", certificate: forged},
		"Hub":        {reason: "a hub is no agent", certificate: hub},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			agent, err := verifier.Verify(context.Background(), c.certificate)
			if (err == nil) != c.ok || errors.Is(err, ErrRevoked) != c.revoked {
				t.Errorf("%s: got %v", c.reason, err)
			}
			if c.ok && agent.UID != "u1" {
				t.Errorf("%s: got %v", c.reason, agent.AgentName)
			}
		})
	}
}

func TestVerifyExpired(t *testing.T) {
	now := time.Now()
	ca := newTestCA(t, "f1")
	name := AgentName{Fleet: "f1", Namespace: "fleet", Name: "c1", UID: "u1"}
	verifier, err := NewVerifier(ca.Public(nil, ""), standings{"u1": {Known: true}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, csr, err := NewRequest(nil)
	if err != nil {
		t.Fatal(err)
	}
	expired, key := newTestAgent(t, ca, name, now.Add(-48*time.Hour))
	ancient, ancientKey := newTestAgent(t, ca, name, now.Add(-40*24*time.Hour))
	_, stranger := newTestAgent(t, ca, name, now)
	cases := map[string]struct {
		reason      string
		certificate *x509.Certificate
		key         *ecdsa.PrivateKey
		at          time.Time
		ok          bool
	}{
		"Good":     {"expired a day ago", expired, key, now, true},
		"OtherKey": {"the proof is by another key", expired, stranger, now, false},
		"OldProof": {"a proof that was caught long ago", expired, key, now.Add(-time.Hour), false},
		"Ancient":  {"expired more than 30 days ago", ancient, ancientKey, now, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			digest := sha256.Sum256(ProofMessage(csr, c.at))
			proof, err := ecdsa.SignASN1(rand.Reader, c.key, digest[:])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := verifier.VerifyExpired(context.Background(), c.certificate.Raw, csr, proof, c.at.Truncate(time.Second)); (err == nil) != c.ok {
				t.Errorf("%s: got %v", c.reason, err)
			}
		})
	}
}

func TestAuthorityKeepsItself(t *testing.T) {
	ca := newTestCA(t, "f1")
	data, err := ca.parts()
	if err != nil {
		t.Fatal(err)
	}
	again, err := decodeCA(data)
	if err != nil || again.Hash() != ca.Hash() || again.FleetID != "f1" {
		t.Errorf("got %v, %v", again, err)
	}
	data["agent.key"] = data["hub.key"]
	if _, err := decodeCA(data); err == nil {
		t.Error("a key of another certificate was taken")
	}
}

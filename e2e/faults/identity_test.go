package faults_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/periplus-fleet/periplus/agent/identity"
	"github.com/periplus-fleet/periplus/e2e/member"
)

func TestHubAwayForTheAgentsWholeLife(t *testing.T) {
	w := newWorld(t)
	wanted := numbered("alone", 10, "one")
	w.assign(bundle("alone", wanted))
	w.start()
	w.settle()
	before := w.live()
	w.kill()
	w.Hub.Leave()
	w.change("alone-001", "drifted")
	w.must(w.Client.CoreV1().ConfigMaps(member.Space).Delete(w.ctx, "alone-002", metav1.DeleteOptions{}))
	w.start()
	w.becomes("alone-001", "one")
	w.becomes("alone-002", "one")
	w.change("alone-003", "drifted")
	w.becomes("alone-003", "one")
	w.says("the stream to the hub ended")
	w.kill()
	delete(before, "alone-002")
	w.same(before, w.live())
	if why := differ(wanted, values(w.live())); why != "" {
		t.Error(why)
	}
}

func TestCertificateExpiredWhileAsleep(t *testing.T) {
	w := newWorld(t)
	const life = 6 * time.Second
	w.must(w.Fresh(w.ctx, member.HubConfig{Lifetime: life}))
	w.assign(bundle("asleep", numbered("asleep", 5, "one")))
	w.start()
	w.settle()
	before := w.live()
	w.kill()
	w.change("asleep-001", "drifted")
	time.Sleep(life + time.Second)
	w.assign(bundle("asleep", numbered("asleep", 5, "two")))
	dialed := w.Hub.Dialed()
	w.start()
	w.settle()
	w.becomes("asleep-001", "two")
	w.same(before, w.live())
	if strings.Contains(w.log(), "cluster rejoin") {
		t.Error("the agent wanted to join again")
	}
	// A life that short means renewals all the time, and no storm of them.
	time.Sleep(life)
	if dialed := w.Hub.Dialed() - dialed; dialed > 15 {
		t.Errorf("%d connections in %s", dialed, life)
	}
	w.assign(bundle("asleep", numbered("asleep", 5, "three")))
	w.settle()
	if log := w.log(); strings.Contains(log, "cannot fetch content") {
		t.Error("the link is held by a certificate that is over")
	}
}

func TestRevokedCluster(t *testing.T) {
	w := newWorld(t)
	w.assign(bundle("revoked", numbered("revoked", 5, "one")))
	w.start()
	w.settle()
	before := w.live()
	w.Hub.Revoke()
	w.says("the hub refuses this agent's certificate")
	w.says("periplus cluster rejoin")
	w.assign(bundle("revoked", numbered("revoked", 5, "two")))
	w.change("revoked-002", "drifted")
	w.becomes("revoked-002", "one")
	dialed := w.Hub.Dialed()
	const watched = 5 * time.Second
	time.Sleep(watched)
	if dialed := w.Hub.Dialed() - dialed; dialed > 10 {
		t.Errorf("%d connections in %s: the agent hammers the hub", dialed, watched)
	}
	w.restart()
	w.change("revoked-003", "drifted")
	w.becomes("revoked-003", "one")
	w.same(before, w.live())
	// A person lets it in again.
	w.must(w.Rejoin(w.ctx))
	w.settle()
	w.becomes("revoked-002", "two")
	w.same(before, w.live())
}

func TestANewProcessTakesTheSessionOnce(t *testing.T) {
	w := newWorld(t)
	w.assign(bundle("session", numbered("session", 2, "one")))
	w.start()
	w.settle()
	first, _ := w.Hub.Session()
	w.restart()
	w.heal()
	second, _ := w.Hub.Session()
	time.Sleep(3 * time.Second)
	if later, connected := w.Hub.Session(); second != first+1 || later != second || !connected {
		t.Errorf("sessions %d, %d, then %d, connected: %t", first, second, later, connected)
	}
}

// kept is an identity's store in memory.
type kept map[string][]byte

func (k kept) Get(context.Context) (map[string][]byte, error) { return maps.Clone(k), nil }

func (k kept) Put(_ context.Context, data map[string][]byte) error {
	clear(k)
	maps.Copy(k, data)
	return nil
}

func TestClockThatIsWrong(t *testing.T) {
	w := newWorld(t)
	cases := map[string]struct {
		reason string
		off    time.Duration
		says   string
	}{
		"Right":      {reason: "nothing is wrong"},
		"AnHourFast": {reason: "certificates live longer than that", off: time.Hour},
		"AnHourSlow": {reason: "the hub's fresh certificate seems to begin later, which does no harm", off: -time.Hour},
		"AYearFast":  {reason: "the hub's certificate seems to be over: that is never passed over", off: 365 * 24 * time.Hour, says: "this cluster's clock says"},
		"AYearSlow":  {reason: "that is no clock", off: -365 * 24 * time.Hour, says: "this cluster's clock says"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			address, hash, token := w.Hub.Invite()
			self, err := identity.Open(ctx, identity.Config{Store: kept{}, Endpoints: []string{address}, CAHash: hash, Version: "test",
				Fingerprint: "here", Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Now().Add(c.off) },
				Token: func(context.Context) (string, error) { return token, nil }})
			if err != nil {
				t.Fatal(err)
			}
			err = self.Join(ctx)
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("it joined, or does not say %q: %v", c.says, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			connection, err := tls.Dial("tcp", address, self.TLS())
			if err != nil {
				t.Fatalf("it does not take the hub: %v", err)
			}
			if err := connection.Close(); err != nil {
				t.Error(err)
			}
			if err := self.Renew(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

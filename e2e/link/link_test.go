package link

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/identity"
	"github.com/periplus-fleet/periplus/hub/link/fakestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestLifeOfALink takes one agent through join, index, delta, removal, a command, a hub restart and a restart of its own.
func TestLifeOfALink(t *testing.T) {
	f := newFleet(t)
	first := f.assign("fleet/a", "one")
	h := f.startHub("hub-a", "")
	stop := f.startAgent("agent-1", h.address)
	f.running("fleet/a", first)
	if got := f.identity.Cluster(); got != "fleet/c1" {
		t.Errorf("joined as %q", got)
	}
	f.eventually("connected", func() bool { return f.connected(uid) && f.client.Connected() })

	f.running("fleet/b", f.assign("fleet/b", "two")) // a delta
	f.keeper.mu.Lock()
	puts := f.keeper.puts
	f.keeper.mu.Unlock()
	if puts != 4 {
		t.Errorf("fetched %d blobs, want 4: two manifests and two objects", puts)
	}

	f.store.Remove(uid, "fleet/b", &linkv1.Cause{Kind: "commit", Ref: "abc"})
	f.eventually("the tombstone is carried out", func() (gone bool) {
		f.store.Read(uid, func(c *fakestore.Cluster) { gone = len(c.Tombstones) == 0 && c.Statuses["fleet/b"] == nil })
		return gone && f.keeper.Accepted().Entries["fleet/b"] == nil
	})

	f.store.PutCommand(uid, &linkv1.Command{Id: "cmd-1", Command: &linkv1.Command_Reconcile{Reconcile: &linkv1.Reconcile{Bundle: "none"}}})
	f.eventually("the command is answered", func() bool {
		text, done := f.store.CommandAnswer("cmd-1")
		return done && text == "no such bundle"
	})

	h.stop()
	second := f.assign("fleet/a", "three")
	h = f.startHub("hub-a", h.address)
	f.running("fleet/a", second)

	stop()
	f.eventually("disconnected", func() bool { return !f.connected(uid) })
	third := f.assign("fleet/a", "four")
	f.startAgent("agent-2", h.address)
	f.running("fleet/a", third)
}

// TestTwoHubs moves an agent between two hub processes on one store; the notify that would tell the second is lost, and
// the first one's stream is stale.
func TestTwoHubs(t *testing.T) {
	f := newFleet(t)
	first := f.assign("fleet/a", "one")
	a, b := f.startHub("hub-a", ""), f.startHub("hub-b", "")
	f.startAgent("agent-1", a.address, b.address)
	f.running("fleet/a", first)
	if len(a.service.Connected()) != 1 || len(b.service.Connected()) != 0 {
		t.Fatal("the agent is not at the first endpoint")
	}
	a.stop()
	second := f.assign("fleet/a", "two") // no hint: the poll finds it
	f.running("fleet/a", second)
	f.eventually("at the other hub", func() bool { return len(b.service.Connected()) == 1 })
	var session uint64
	f.store.Read(uid, func(c *fakestore.Cluster) { session = c.Session })
	applied, err := f.store.Report(context.Background(), uid, session-1, 99, &linkv1.StatusReport{})
	if applied || err != nil {
		t.Errorf("a report of the older session was applied: %v %v", applied, err)
	}
	if !f.connected(uid) {
		t.Error("the cluster counts as disconnected after it moved")
	}
}

func TestRestoreOfTheStore(t *testing.T) {
	f := newFleet(t)
	h := f.startHub("hub-a", "")
	f.assign("fleet/a", "one")
	backup := f.store.Snapshot()
	f.startAgent("agent-1", h.address)
	want := map[string]*linkv1.Entry{}
	revision := f.assign("fleet/b", "two")
	f.running("fleet/b", revision)
	f.store.Read(uid, func(c *fakestore.Cluster) {
		for bundle, entry := range c.Entries {
			want[bundle] = entry
		}
	})
	f.store.Restore(backup, "epoch-2")
	f.eventually("the agent is relearned", func() (reported bool) {
		f.store.Read(uid, func(c *fakestore.Cluster) { reported = c.Relearn != nil })
		return reported && f.keeper.Accepted().Relearning
	})
	if f.keeper.Accepted().Entries["fleet/b"] == nil {
		t.Fatal("a bundle left during the relearning")
	}
	f.store.FinishRelearn(uid, want, "operator")
	f.eventually("the new epoch is accepted", func() bool {
		set := f.keeper.Accepted()
		return !set.Relearning && set.Position.Epoch == "epoch-2" && len(set.Entries) == 2
	})
	f.running("fleet/a", f.assign("fleet/a", "three"))
}

func TestRevoked(t *testing.T) {
	f := newFleet(t)
	h := f.startHub("hub-a", "")
	f.startAgent("agent-1", h.address)
	f.eventually("connected", func() bool { return f.connected(uid) })
	f.queue.Revoke(uid)
	f.eventually("the stream is closed and stays so", func() bool { return !f.connected(uid) && !f.client.Connected() })
	if err := f.identity.Renew(context.Background()); err == nil || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("a revoked certificate was renewed: %v", err)
	}
}

func TestJoinRefused(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(f *fleet) (caHash string)
		want   string
	}{
		"WrongCAHash": {reason: "the token goes to no stranger", want: "its CA is not",
			change: func(*fleet) string { return "sha256:" + strings.Repeat("0", 64) }},
		"WrongToken": {reason: "a token that nobody made", want: "not known",
			change: func(f *fleet) string { f.token = "pj1.other"; return f.ca.Hash() }},
		"Expired": {reason: "a token has its time", want: "expired", change: func(f *fleet) string {
			f.queue.PutToken(identity.Token{Hash: identity.HashToken(f.token), Namespace: "fleet", Cluster: "c1", Expires: time.Now().Add(-time.Hour), Uses: 1})
			return f.ca.Hash()
		}},
		"Recreated": {reason: "a recreated FleetCluster is another one", want: "is gone", change: func(f *fleet) string {
			f.queue.PutToken(identity.Token{Hash: identity.HashToken(f.token), Namespace: "fleet", Cluster: "c1", ClusterUID: "older", Expires: time.Now().Add(time.Hour), Uses: 1})
			return f.ca.Hash()
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			h := f.startHub("hub-a", "")
			hash := c.change(f)
			err := f.openIdentity(hash, h.address).Join(context.Background())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v, want %q in it", c.reason, err, c.want)
			}
		})
	}
}

// TestJoinAgain holds the rules of tokens: the same key may come again, another key is refused while the identity lives.
func TestJoinAgain(t *testing.T) {
	f := newFleet(t)
	h := f.startHub("hub-a", "")
	id := f.openIdentity(f.ca.Hash(), h.address)
	for range 2 {
		if err := id.Join(context.Background()); err != nil {
			t.Fatalf("the same key: %v", err)
		}
	}
	if err := id.Renew(context.Background()); err != nil {
		t.Fatalf("renew: %v", err)
	}
	f.secret = &secret{}
	if err := f.openIdentity(f.ca.Hash(), h.address).Join(context.Background()); err == nil || !strings.Contains(err.Error(), "used up") {
		t.Errorf("another key with a used token: %v", err)
	}
	f.token = "pj1.second"
	second := identity.Token{Hash: identity.HashToken(f.token), Namespace: "fleet", Cluster: "c1", ClusterUID: uid, Expires: time.Now().Add(time.Hour), Uses: 1}
	f.queue.PutToken(second)
	if err := f.openIdentity(f.ca.Hash(), h.address).Join(context.Background()); err == nil || !strings.Contains(err.Error(), "rejoin") {
		t.Errorf("a living identity: %v", err)
	}
	second.Rejoin = true
	f.queue.PutToken(second)
	if err := f.openIdentity(f.ca.Hash(), h.address).Join(context.Background()); err != nil {
		t.Errorf("rejoin: %v", err)
	}
	if err := id.Renew(context.Background()); err == nil {
		t.Error("the identity before the rejoin still lives")
	}
}

func TestFetchOnlyWhatIsAssigned(t *testing.T) {
	f := newFleet(t)
	h := f.startHub("hub-a", "")
	mine := f.assign("fleet/a", "mine")
	f.startAgent("agent-1", h.address)
	f.running("fleet/a", mine)
	secret := []byte("of another cluster")
	foreign, err := f.store.Put(content.Manifest{Items: []content.Item{{ObjectID: content.ObjectID{Kind: "ConfigMap", Name: "x"}, Digest: content.Sum(secret)}}},
		map[content.Digest][]byte{content.Sum(secret): secret})
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		reason  string
		request *linkv1.FetchRequest
		tls     *tls.Config
		want    codes.Code
	}{
		"OtherRevision": {"a revision that is not assigned here", &linkv1.FetchRequest{Bundle: "fleet/a", Revision: string(foreign)}, f.identity.TLS(), codes.PermissionDenied},
		"OtherDigest": {"a digest that the revision does not hold", &linkv1.FetchRequest{Bundle: "fleet/a", Revision: string(mine),
			Digests: []string{string(content.Sum(secret))}}, f.identity.TLS(), codes.PermissionDenied},
		"NoCertificate": {"the cluster comes from the certificate only", &linkv1.FetchRequest{Bundle: "fleet/a", Revision: string(mine)},
			&tls.Config{InsecureSkipVerify: true}, codes.Unauthenticated},
		"Mine": {"what is assigned", &linkv1.FetchRequest{Bundle: "fleet/a", Revision: string(mine), Digests: []string{string(mine)}}, f.identity.TLS(), codes.OK},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			conn, err := grpc.NewClient(h.address, grpc.WithTransportCredentials(credentials.NewTLS(c.tls)))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			answers, err := linkv1.NewLinkClient(conn).Fetch(context.Background(), c.request)
			if err == nil {
				_, err = answers.Recv()
			}
			if got := grpcstatus.Code(err); got != c.want {
				t.Errorf("%s: got %v (%v), want %v", c.reason, got, err, c.want)
			}
		})
	}
}

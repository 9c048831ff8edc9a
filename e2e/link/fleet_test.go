package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/periplus-fleet/periplus/agent/desired"
	agentidentity "github.com/periplus-fleet/periplus/agent/identity"
	agentlink "github.com/periplus-fleet/periplus/agent/link"
	agentsession "github.com/periplus-fleet/periplus/agent/link/session"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/identity"
	"github.com/periplus-fleet/periplus/hub/identity/fakequeue"
	hublink "github.com/periplus-fleet/periplus/hub/link"
	"github.com/periplus-fleet/periplus/hub/link/fakestore"
)

// fleet is a real link in one process: hub processes with TLS on one store, and the agent of cluster fleet/c1.
type fleet struct {
	t     *testing.T
	store *fakestore.Store
	queue *fakequeue.Queue
	ca    *identity.CA
	token string

	keeper   *keeper
	secret   *secret
	commands *commands
	client   *agentlink.Client
	identity *agentidentity.Identity
	answers  *answers
	// capabilities that the agent says it has.
	capabilities []string

	mu    sync.Mutex
	heard map[string]bool // connected by the callbacks
}

const patience = 20 * time.Second

func newFleet(t *testing.T) *fleet {
	t.Helper()
	ca, err := identity.NewCA("fleet-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, store: fakestore.New("fleet-1"), queue: fakequeue.New(), ca: ca, token: "pj1.secret",
		keeper: newKeeper(), secret: &secret{}, commands: &commands{}, answers: &answers{}, heard: map[string]bool{}}
	f.store.AddCluster(uid)
	f.queue.PutCluster(identity.Current{Namespace: "fleet", Name: "c1", UID: uid})
	f.queue.PutToken(identity.Token{Hash: identity.HashToken(f.token), Namespace: "fleet", Cluster: "c1", ClusterUID: uid, Expires: time.Now().Add(time.Hour), Uses: 1})
	issuer := identity.NewIssuer(identity.IssuerConfig{CA: ca, Public: ca.Public(nil, ""), Queue: f.queue, Clusters: f.queue,
		Term: func() uint64 { return 1 }, Poll: 5 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	f.background(issuer.Run)
	return f
}

// background runs until the test ends, and waits for the end.
func (f *fleet) background(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			f.t.Errorf("background: %v", err)
		}
	}()
	stop = func() { cancel(); <-done }
	f.t.Cleanup(stop)
	return stop
}

// process is one hub process.
type process struct {
	address string
	service *hublink.Service
	stop    func()
}

func (f *fleet) startHub(name, address string) *process {
	f.t.Helper()
	public := f.ca.Public(nil, "")
	verifier, err := identity.NewVerifier(public, f.queue, 10*time.Millisecond)
	if err != nil {
		f.t.Fatal(err)
	}
	service := hublink.New(hublink.Config{Store: f.store, Asker: f.queue, Verifier: verifier, Public: public, Process: name,
		Heartbeat: 50 * time.Millisecond, Jitter: 20 * time.Millisecond, Poll: 20 * time.Millisecond, Recheck: 20 * time.Millisecond, Grace: 100 * time.Millisecond,
		OnConnected: func(uid string) { f.hear(uid, true) }, OnDisconnected: func(uid string) { f.hear(uid, false) }})
	server := identity.NewServer(f.queue, []string{"127.0.0.1"}, slog.New(slog.DiscardHandler))
	if err := server.Obtain(context.Background()); err != nil {
		f.t.Fatal(err)
	}
	grpcServer := grpc.NewServer(service.ServerOptions(server)...)
	service.Register(grpcServer)
	if address == "" {
		address = "127.0.0.1:0"
	}
	var listener net.Listener
	f.eventually("listen", func() bool { listener, err = net.Listen("tcp", address); return err == nil })
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = grpcServer.Serve(listener)
	}()
	stopRun := f.background(service.Run)
	h := &process{address: listener.Addr().String(), service: service}
	h.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := service.Drain(ctx); err != nil {
			f.t.Errorf("drain: %v", err)
		}
		grpcServer.Stop()
		<-served
		stopRun()
	})
	f.t.Cleanup(h.stop)
	return h
}

func (f *fleet) hear(uid string, connected bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard[uid] = connected
}

func (f *fleet) connected(uid string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.heard[uid]
}

func (f *fleet) openIdentity(hash string, endpoints ...string) *agentidentity.Identity {
	f.t.Helper()
	id, err := agentidentity.Open(context.Background(), agentidentity.Config{Store: f.secret, Endpoints: endpoints, CAHash: hash,
		Token: func(context.Context) (string, error) { return f.token, nil }, Version: "v1", MinBackoff: 10 * time.Millisecond, MaxBackoff: 50 * time.Millisecond})
	if err != nil {
		f.t.Fatal(err)
	}
	return id
}

// startAgent joins where it has to and runs the link; stop ends the agent's process.
func (f *fleet) startAgent(instance string, endpoints ...string) (stop func()) {
	f.t.Helper()
	f.identity = f.openIdentity(f.ca.Hash(), endpoints...)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := f.identity.Ensure(ctx); err != nil {
		f.t.Fatalf("join: %v", err)
	}
	client := agentlink.New(agentlink.Config{Identity: f.identity, Keeper: f.keeper, Commands: f.commands, Queries: f.answers,
		Session:    agentsession.Config{AgentVersion: "v1", Instance: instance, Capabilities: f.capabilities},
		MinBackoff: 10 * time.Millisecond, MaxBackoff: 50 * time.Millisecond})
	f.client = client
	f.keeper.changed = func(set desired.Set) { report(client, set) }
	report(client, f.keeper.Accepted())
	return f.background(client.Run)
}

func report(client *agentlink.Client, set desired.Set) {
	for bundle := range set.Entries {
		client.Report(status(set, bundle))
	}
	for bundle := range set.Tombstones {
		client.Removed(bundle)
	}
}

// assign puts a revision of one object into the store and assigns it.
func (f *fleet) assign(bundle, text string) content.Digest {
	f.t.Helper()
	data := []byte(text)
	manifest := content.Manifest{Items: []content.Item{{ObjectID: content.ObjectID{Kind: "ConfigMap", Name: "c"}, Digest: content.Sum(data)}}}
	revision, err := f.store.Put(manifest, map[content.Digest][]byte{content.Sum(data): data})
	if err != nil {
		f.t.Fatal(err)
	}
	f.store.Set(uid, &linkv1.Entry{Bundle: bundle, Revision: string(revision)})
	return revision
}

func (f *fleet) eventually(what string, done func() bool) {
	f.t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			f.t.Fatalf("not within %s: %s", patience, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// running waits until the agent has accepted a revision and the hub has its status.
func (f *fleet) running(bundle string, revision content.Digest) {
	f.t.Helper()
	f.eventually(fmt.Sprintf("%s at %s", bundle, revision), func() (done bool) {
		f.store.Read(uid, func(c *fakestore.Cluster) { done = c.Statuses[bundle].GetAppliedRevision() == string(revision) })
		return done && f.keeper.Accepted().Entries[bundle].GetRevision() == string(revision)
	})
}

// keeper holds the accepted set and content in memory.
type keeper struct {
	mu      sync.Mutex
	set     desired.Set
	blobs   map[string][]byte
	puts    int
	changed func(desired.Set)
}

func newKeeper() *keeper {
	return &keeper{set: desired.Set{}.Clone(), blobs: map[string][]byte{}, changed: func(desired.Set) {}}
}

func (k *keeper) Accepted() desired.Set {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.set
}

func (k *keeper) Missing(_ context.Context, entry *linkv1.Entry) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	data, ok := k.blobs[entry.GetRevision()]
	if !ok {
		return []string{entry.GetRevision()}, nil
	}
	manifest, err := content.DecodeManifest(data)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, item := range manifest.Items {
		if _, ok := k.blobs[string(item.Digest)]; !ok {
			missing = append(missing, string(item.Digest))
		}
	}
	return missing, nil
}

func (k *keeper) Put(_ context.Context, blobs map[string][]byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.Copy(k.blobs, blobs)
	k.puts += len(blobs)
	return nil
}

func (k *keeper) Accept(_ context.Context, next desired.Set) error {
	k.mu.Lock()
	for bundle := range k.set.Entries {
		if next.Entries[bundle] == nil && next.Tombstones[bundle] == nil {
			k.mu.Unlock()
			return errors.New("a bundle leaves without a tombstone")
		}
	}
	k.set = next
	changed := k.changed
	k.mu.Unlock()
	changed(next)
	return nil
}

// secret keeps the agent's identity in memory.
type secret struct {
	mu   sync.Mutex
	data map[string][]byte
}

func (s *secret) Get(context.Context) (map[string][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data, nil
}

func (s *secret) Put(_ context.Context, data map[string][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = data
	return nil
}

type commands struct {
	mu   sync.Mutex
	done []string
}

func (c *commands) Do(_ context.Context, command *linkv1.Command) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = append(c.done, command.GetId())
	if command.GetReconcile().GetBundle() == "none" {
		return errors.New("no such bundle")
	}
	return nil
}

// Incomplete and Refill have nothing to do: this keeper loses nothing.
func (k *keeper) Incomplete(context.Context) ([]*linkv1.Entry, error) { return nil, nil }

func (k *keeper) Refill(context.Context, []string) error { return nil }

package member

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/identity"
	"github.com/periplus-fleet/periplus/hub/identity/fakequeue"
	"github.com/periplus-fleet/periplus/hub/link"
	"github.com/periplus-fleet/periplus/hub/link/fakestore"
)

const (
	fleetID    = "fleet-1"
	clusterUID = "cluster-1"
	tenant     = "fleet"
	// poll of a condition that is waited for.
	poll = 20 * time.Millisecond
)

// Hub is the hub's end of the link over a store in memory. It can go away and come back at the same address.
type Hub struct {
	Store *fakestore.Store

	queue   *fakequeue.Queue
	ca      *identity.CA
	token   string
	address string
	issuing context.CancelFunc
	server  *identity.Server
	// dialed counts connections.
	dialed atomic.Int64

	mu   sync.Mutex
	away func()
}

// HubConfig of a Hub.
type HubConfig struct {
	// Lifetime of certificates, by default the hub's own.
	Lifetime time.Duration
}

func newHub(ctx context.Context, config HubConfig) (*Hub, error) {
	ca, err := identity.NewCA(fleetID, time.Now())
	if err != nil {
		return nil, err
	}
	h := &Hub{Store: fakestore.New(fleetID), queue: fakequeue.New(), ca: ca, token: "pj1." + rand.Text(), address: "127.0.0.1:0"}
	h.Store.AddCluster(clusterUID)
	h.queue.PutCluster(identity.Current{Namespace: tenant, Name: "member", UID: clusterUID})
	h.queue.PutToken(identity.Token{Hash: identity.HashToken(h.token), Namespace: tenant, Cluster: "member", ClusterUID: clusterUID,
		Expires: time.Now().Add(24 * time.Hour), Uses: 1})
	h.issue(ctx, 0)
	h.server = identity.NewServer(h.queue, []string{"127.0.0.1"}, slog.New(slog.DiscardHandler))
	if err := h.server.Obtain(ctx); err != nil {
		return nil, fmt.Errorf("cannot get the hub's certificate: %w", err)
	}
	if config.Lifetime != 0 {
		h.issuing()
		h.issue(ctx, config.Lifetime)
	}
	return h, h.Return(ctx)
}

// issue answers requests for certificates, that live so long; 0 is the hub's own lifetime.
func (h *Hub) issue(ctx context.Context, lifetime time.Duration) {
	issuer := identity.NewIssuer(identity.IssuerConfig{CA: h.ca, Public: h.ca.Public(nil, ""), Queue: h.queue, Clusters: h.queue,
		Term: func() uint64 { return 1 }, Lifetime: lifetime, Log: slog.New(slog.DiscardHandler)})
	ctx, h.issuing = context.WithCancel(context.WithoutCancel(ctx))
	go func() { _ = issuer.Run(ctx) }()
}

// Return opens the link, if it is closed.
func (h *Hub) Return(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away != nil {
		return nil
	}
	public := h.ca.Public(nil, "")
	verifier, err := identity.NewVerifier(public, h.queue, time.Second)
	if err != nil {
		return err
	}
	service := link.New(link.Config{Store: h.Store, Asker: h.queue, Verifier: verifier, Public: public, Process: "hub-" + rand.Text(),
		Jitter: 500 * time.Millisecond})
	listener, err := net.Listen("tcp", h.address)
	if err != nil {
		return fmt.Errorf("cannot open the hub's link: %w", err)
	}
	h.address = listener.Addr().String()
	rpc := grpc.NewServer(service.ServerOptions(h.server)...)
	service.Register(rpc)
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = rpc.Serve(counting{listener, &h.dialed}) })
	tasks.Go(func() { _ = service.Run(running) })
	h.away = func() {
		rpc.Stop()
		cancel()
		tasks.Wait()
	}
	return nil
}

type counting struct {
	net.Listener
	count *atomic.Int64
}

// Accept counts a connection.
func (c counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.count.Add(1)
	}
	return conn, err
}

// Dialed is how many connections were made to the hub.
func (h *Hub) Dialed() int { return int(h.dialed.Load()) }

// Invite is the address of the link and the hash of the hub's CA, as in a join line, and a token that may be used once, also by a cluster
// that has an identity.
func (h *Hub) Invite() (address, hash, token string) {
	token = "pj1." + rand.Text()
	h.queue.PutToken(identity.Token{Hash: identity.HashToken(token), Namespace: tenant, Cluster: "member", ClusterUID: clusterUID,
		Expires: time.Now().Add(24 * time.Hour), Uses: 1, Rejoin: true})
	return h.address, h.ca.Hash(), token
}

// Leave closes the link as a crash does.
func (h *Hub) Leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away != nil {
		h.away()
		h.away = nil
	}
}

// Stop ends the hub.
func (h *Hub) Stop() {
	h.Leave()
	h.issuing()
}

// Assign gives the cluster a bundle, or a changed one.
func (h *Hub) Assign(bundle Bundle) error {
	manifest, blobs, err := bundle.content()
	if err != nil {
		return err
	}
	revision, err := h.Store.Put(manifest, blobs)
	if err != nil {
		return err
	}
	h.Store.Set(clusterUID, &linkv1.Entry{Bundle: tenant + "/" + bundle.Name, Revision: string(revision), Options: bundle.Options})
	h.Store.Hint(clusterUID)
	return nil
}

// Revoke ends the certificates of the cluster.
func (h *Hub) Revoke() { h.queue.Revoke(clusterUID) }

// Session is the number of the agent's last session, and whether it lasts.
func (h *Hub) Session() (number uint64, connected bool) {
	h.Store.Read(clusterUID, func(c *fakestore.Cluster) { number, connected = c.Session, c.Connected })
	return number, connected
}

// Refused says which bundles the agent refuses at the revision that the hub wants, and why.
func (h *Hub) Refused() map[string]string {
	refused := map[string]string{}
	h.Store.Read(clusterUID, func(c *fakestore.Cluster) {
		for _, r := range c.Refused {
			refused[r.GetBundle()] = r.GetReason()
		}
	})
	return refused
}

// Status is what the hub was told of a bundle last, nil for nothing.
func (h *Hub) Status(name string) (status *linkv1.BundleStatus) {
	h.Store.Read(clusterUID, func(c *fakestore.Cluster) { status = c.Statuses[tenant+"/"+name] })
	return status
}

// Remove takes a bundle from the cluster.
func (h *Hub) Remove(name string) {
	h.Store.Remove(clusterUID, tenant+"/"+name, &linkv1.Cause{Kind: "commit", Ref: "removed"})
	h.Store.Hint(clusterUID)
}

// Unsettled says which bundle is not ready at the revision that the hub wants, or not gone; "" when all are.
func (h *Hub) Unsettled() (why string) {
	h.Store.Read(clusterUID, func(c *fakestore.Cluster) {
		for name := range c.Tombstones {
			why = name + " is to be removed: " + c.Statuses[name].GetMessage()
			return
		}
		for name, entry := range c.Entries {
			status := c.Statuses[name]
			if status.GetState() != linkv1.State_STATE_READY || status.GetRevision() != entry.GetRevision() || status.GetAppliedRevision() != entry.GetRevision() {
				why = fmt.Sprintf("%s is %s: %s", name, status.GetState(), status.GetMessage())
				return
			}
		}
		if c.Head.Recorded.Generation != c.Head.Desired.Generation {
			why = "the agent has not accepted the newest set"
		}
	})
	return why
}

// Forget drops what the hub knows of bundles' states: they settle when the agent has said them again.
func (h *Hub) Forget() {
	h.Store.Read(clusterUID, func(c *fakestore.Cluster) { clear(c.Statuses) })
}

// Settle waits until nothing is unsettled.
func (h *Hub) Settle(ctx context.Context) error {
	return Eventually(ctx, h.Unsettled)
}

// Eventually polls until a condition says "", which is nothing to complain of.
func Eventually(ctx context.Context, complaint func() string) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		why := complaint()
		if why == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w while %s", ctx.Err(), why)
		case <-ticker.C:
		}
	}
}

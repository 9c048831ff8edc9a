package link

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/identity"
	"github.com/periplus-fleet/periplus/hub/link/session"
)

const (
	maxReceive = 8 << 20
	// drainReason tells agents to go to another process at once.
	drainReason = "the hub is going away"
)

// Config of a Service.
type Config struct {
	Store    Store
	Asker    identity.Asker
	Verifier *identity.Verifier
	Public   identity.Public
	// Process names this hub process in sessions; Version is the hub's.
	Process      string
	Version      string
	Capabilities []string
	// Heartbeat is how often both sides speak, default 10 s; a cluster that misses three is disconnected.
	Heartbeat time.Duration
	// Jitter is what agents wait a random part of before they come again, default 5 s.
	Jitter time.Duration
	// Poll is how often moved clusters are looked for, default 1 s.
	Poll time.Duration
	// Recheck is how often live streams' certificates are judged again, default 15 s.
	Recheck time.Duration
	// Grace is how long a cluster whose stream ended may take to come again before it counts as disconnected, default 2 s.
	Grace time.Duration
	// AdmitPerSecond bounds handshakes, so that a restart is no stampede on the store; default 200.
	AdmitPerSecond int
	// OnConnected and OnDisconnected hear of clusters by uid; they must not block.
	OnConnected    func(clusterUID string)
	OnDisconnected func(clusterUID string)
	Metrics        prometheus.Registerer
	Log            *slog.Logger
}

// Service is the hub's end of the link.
type Service struct {
	linkv1.UnimplementedLinkServer
	config   Config
	metrics  *metrics
	admit    *rate.Limiter
	limits   *limits
	meta     atomic.Pointer[Meta]
	draining atomic.Bool
	// questions that agents of this process are asked.
	questions questions

	mu      sync.Mutex
	streams map[string]*stream
	all     map[*stream]bool
	running sync.WaitGroup
}

// New makes a Service.
func New(config Config) *Service {
	config.Heartbeat = orDefault(config.Heartbeat, 10*time.Second)
	config.Jitter = orDefault(config.Jitter, 5*time.Second)
	config.Poll = orDefault(config.Poll, time.Second)
	config.Recheck = orDefault(config.Recheck, 15*time.Second)
	config.Grace = orDefault(config.Grace, 2*time.Second)
	if config.AdmitPerSecond == 0 {
		config.AdmitPerSecond = 200
	}
	if config.OnConnected == nil {
		config.OnConnected = func(string) {}
	}
	if config.OnDisconnected == nil {
		config.OnDisconnected = func(string) {}
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{config: config, metrics: newMetrics(config.Metrics), admit: rate.NewLimiter(rate.Limit(config.AdmitPerSecond), config.AdmitPerSecond),
		limits: newLimits(), streams: map[string]*stream{}, all: map[*stream]bool{}}
}

func orDefault(value, otherwise time.Duration) time.Duration {
	if value == 0 {
		return otherwise
	}
	return value
}

// Register adds the service to a gRPC server, which must have been made with ServerOptions.
func (s *Service) Register(registrar grpc.ServiceRegistrar) { linkv1.RegisterLinkServer(registrar, s) }

// ServerOptions are those of the link's gRPC server: mTLS, sizes, and small buffers, since most streams are idle.
func (s *Service) ServerOptions(server *identity.Server) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(credentials.NewTLS(s.config.Verifier.TLS(server.Certificate))),
		grpc.MaxRecvMsgSize(maxReceive), grpc.MaxConcurrentStreams(16), grpc.ReadBufferSize(4 << 10), grpc.WriteBufferSize(4 << 10),
		grpc.ConnectionTimeout(20 * time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 3 * s.config.Heartbeat, Timeout: s.config.Heartbeat}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
}

// Connected are the uids of clusters whose agents are connected to this process.
func (s *Service) Connected() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	uids := make([]string, 0, len(s.streams))
	for uid := range s.streams {
		uids = append(uids, uid)
	}
	return uids
}

// Drain ends all streams, so that agents go to another process or come again to the next one, and waits until they are
// gone. Their clusters do not count as disconnected: a successor hears them.
func (s *Service) Drain(ctx context.Context) error {
	s.draining.Store(true)
	s.mu.Lock()
	for st := range s.all {
		st.end(codes.Unavailable, drainReason)
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Connect serves the one stream of an agent.
func (s *Service) Connect(grpcStream grpc.BidiStreamingServer[linkv1.AgentMessage, linkv1.HubMessage]) error {
	ctx := grpcStream.Context()
	agent, err := s.authenticate(ctx)
	if err != nil {
		return err
	}
	done, err := s.limits.take("Connect", agent.UID)
	if err != nil {
		return err
	}
	defer done()
	if err := s.admission(ctx); err != nil {
		return err
	}
	meta, err := s.life(ctx)
	if err != nil {
		return status.Error(codes.Unavailable, "the hub cannot reach its store")
	}
	st := newStream(s, agent, grpcStream, session.Config{
		FleetID: meta.FleetID, Epoch: meta.Epoch, HubVersion: s.config.Version, Capabilities: s.config.Capabilities,
		TrustBundle: s.config.Public.TrustBundle, Endpoints: s.config.Public.Endpoints,
		HeartbeatInterval: s.config.Heartbeat, ReconnectJitter: s.config.Jitter,
	})
	if !s.enter(st) {
		return status.Error(codes.Unavailable, drainReason)
	}
	defer s.leave(st)
	return st.run()
}

// admission lets handshakes in at a rate; who would wait long is sent away with a hint.
func (s *Service) admission(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.Heartbeat)
	defer cancel()
	if err := s.admit.Wait(ctx); err != nil {
		return status.Error(codes.ResourceExhausted, "many agents connect at once: come again in a while")
	}
	return nil
}

// life is the store's epoch; it is read again by the poll, and whenever a stream saw another one.
func (s *Service) life(ctx context.Context) (Meta, error) {
	if meta := s.meta.Load(); meta != nil {
		return *meta, nil
	}
	meta, err := s.config.Store.Meta(ctx)
	if err != nil {
		return Meta{}, err
	}
	s.meta.Store(&meta)
	return meta, nil
}

// authenticate takes the cluster from the connection's certificate, never from a message.
func (s *Service) authenticate(ctx context.Context) (identity.Agent, error) {
	certificate := peerCertificate(ctx)
	if certificate == nil {
		return identity.Agent{}, status.Error(codes.Unauthenticated, "a client certificate is required: join first")
	}
	agent, err := s.config.Verifier.Verify(ctx, certificate)
	switch {
	case errors.Is(err, identity.ErrRevoked):
		return identity.Agent{}, status.Error(codes.PermissionDenied, err.Error())
	case err != nil:
		return identity.Agent{}, status.Error(codes.Unauthenticated, err.Error())
	}
	return agent, nil
}

func peerCertificate(ctx context.Context) *x509.Certificate {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := caller.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return nil
	}
	return info.State.PeerCertificates[0]
}

func (s *Service) enter(st *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.all[st] = true
	s.running.Add(1)
	return true
}

// claimed makes the stream its cluster's one; an older stream of this process ends.
func (s *Service) claimed(st *stream) {
	s.mu.Lock()
	older := s.streams[st.agent.UID]
	s.streams[st.agent.UID] = st
	connected := len(s.streams)
	s.mu.Unlock()
	if older != nil && older != st {
		older.end(codes.Aborted, session.ReasonSuperseded)
	}
	s.metrics.connected.Set(float64(connected))
	s.config.OnConnected(st.agent.UID)
}

func (s *Service) leave(st *stream) {
	s.mu.Lock()
	delete(s.all, st)
	current := s.streams[st.agent.UID] == st
	if current {
		delete(s.streams, st.agent.UID)
	}
	s.metrics.connected.Set(float64(len(s.streams)))
	s.mu.Unlock()
	go func() {
		defer s.running.Done()
		if current {
			s.gone(st)
		}
	}()
}

// gone gives the session back, and says that the cluster is disconnected unless it came again, here or elsewhere.
func (s *Service) gone(st *stream) {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Grace+5*time.Second)
	defer cancel()
	if _, err := s.config.Store.ReleaseSession(ctx, st.agent.UID, st.number.Load()); err != nil {
		s.config.Log.Warn("cannot release session", "cluster", st.agent.Cluster(), "error", err)
	}
	if s.draining.Load() {
		return
	}
	timer := time.NewTimer(s.config.Grace)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	s.mu.Lock()
	again := s.streams[st.agent.UID] != nil
	s.mu.Unlock()
	if again || s.draining.Load() {
		return
	}
	if gone, err := s.config.Store.ReleaseSession(ctx, st.agent.UID, st.number.Load()); err == nil && !gone {
		return
	}
	s.config.OnDisconnected(st.agent.UID)
}

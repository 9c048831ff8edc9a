// Package hub wires the hub's parts: it reads as the list of them and who talks to whom. A process has one or more roles:
// link faces the agents, api faces people, control decides. They share nothing but the store and the hub's Kubernetes API.
package hub

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/ask"
	"github.com/periplus-fleet/periplus/hub/identity"
	"github.com/periplus-fleet/periplus/hub/link/storelink"
	"github.com/periplus-fleet/periplus/hub/metrics"
	"github.com/periplus-fleet/periplus/hub/plugins"
	"github.com/periplus-fleet/periplus/hub/store"
)

// Roles of a process.
const (
	RoleLink    = "link"
	RoleAPI     = "api"
	RoleControl = "control"
)

// AllRoles is the default.
func AllRoles() []string { return []string{RoleLink, RoleAPI, RoleControl} }

// Config of a hub process.
type Config struct {
	// Rest reaches the hub's Kubernetes API.
	Rest *rest.Config
	// Namespace of the hub's own objects.
	Namespace string
	Roles     []string
	// StoreURL is sqlite:///path or postgres://...; StoreKey (32 bytes) encrypts Secrets in it.
	StoreURL string
	StoreKey []byte
	// DataDir holds fetched repositories and charts, and renderings: all of it can be had again.
	DataDir string
	// Addresses to listen on; Health is plain HTTP and meant for this host.
	LinkAddress, APIAddress, HealthAddress string
	// LinkEndpoints and APIEndpoint are how others reach them (host:port).
	LinkEndpoints []string
	APIEndpoint   string
	// AgentImage is repository and tag that bootstrapped agents run; "" takes the chart's.
	AgentImageRepository, AgentImageTag string
	Version, Commit                     string
	// PolicyKey signs the policies that agents are given; nil signs none.
	PolicyKey ed25519.PrivateKey
	// Plugins says which ones the control role runs; without a Command all built-in renderers run in this process.
	Plugins plugins.Config
	Log     *slog.Logger
}

// hub is one running process.
type hub struct {
	cfg     Config
	scheme  *runtime.Scheme
	direct  client.Client
	store   *store.Store
	asking  *ask.Router
	process string
	metrics *prometheus.Registry
	started time.Time

	mu    sync.Mutex
	ready map[string]func(context.Context) error
}

// Run runs the roles until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	h, err := open(ctx, cfg)
	if err != nil {
		return err
	}
	defer h.store.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parts := map[string]func(context.Context) error{"health endpoint": h.serveHealth}
	for role, part := range map[string]func(context.Context) error{RoleControl: h.runControl, RoleLink: h.runLink, RoleAPI: h.runAPI} {
		if slices.Contains(cfg.Roles, role) {
			parts[role+" role"] = part
		}
	}
	var group sync.WaitGroup
	for name, part := range parts {
		group.Go(func() {
			if err := part(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("cannot run the %s: %w", name, err))
			}
		})
	}
	group.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func open(ctx context.Context, cfg Config) (*hub, error) {
	for _, role := range cfg.Roles {
		if !slices.Contains(AllRoles(), role) {
			return nil, fmt.Errorf("unknown role %q: want %s", role, strings.Join(AllRoles(), ", "))
		}
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	h := &hub{cfg: cfg, scheme: runtime.NewScheme(), process: host + "-" + uuid.NewString()[:8], metrics: prometheus.NewRegistry(),
		started: time.Now(), ready: map[string]func(context.Context) error{}}
	h.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, clusterv1.AddToScheme} {
		if err := add(h.scheme); err != nil {
			return nil, err
		}
	}
	if h.direct, err = client.New(cfg.Rest, client.Options{Scheme: h.scheme}); err != nil {
		return nil, fmt.Errorf("cannot reach the hub's Kubernetes API: %w", err)
	}
	if h.store, err = store.Open(ctx, store.Config{URL: cfg.StoreURL, Key: cfg.StoreKey, Log: cfg.Log}); err != nil {
		return nil, err
	}
	h.asking = &ask.Router{Store: h.store, Process: h.process, Log: cfg.Log}
	h.metrics.MustRegister(metrics.NewFleet(h.store, cfg.Log))
	return h, nil
}

// uncached are kinds of which the hub must not hold all objects, or of which only the newest counts.
func uncached() []client.Object {
	return []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}, &coordinationv1.Lease{}}
}

// public waits until the control role has published the fleet's authority.
func (h *hub) public(ctx context.Context) (identity.Public, error) {
	for {
		public, err := identity.LoadPublic(ctx, h.direct, h.cfg.Namespace)
		if err == nil {
			meta, metaErr := h.store.Meta(ctx)
			if metaErr == nil && meta.FleetID == public.FleetID {
				return public, nil
			}
		}
		select {
		case <-ctx.Done():
			return identity.Public{}, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// server obtains this process's server certificate from the control role, wherever that runs.
func (h *hub) server(ctx context.Context) (*identity.Server, error) {
	names := map[string]bool{"localhost": true, "127.0.0.1": true}
	for _, endpoint := range append([]string{h.cfg.APIEndpoint}, h.cfg.LinkEndpoints...) {
		if host, _, err := net.SplitHostPort(endpoint); err == nil && host != "" {
			names[host] = true
		}
	}
	server := identity.NewServer(storelink.Identity{Store: h.store}, sortedNames(names), h.cfg.Log)
	for {
		err := server.Obtain(ctx)
		if err == nil {
			return server, nil
		}
		h.cfg.Log.Warn("no server certificate yet", "error", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func sortedNames(names map[string]bool) []string {
	out := make([]string, 0, len(names))
	for name := range names {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// setReady tells the readiness endpoint how to ask a part.
func (h *hub) setReady(part string, check func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready[part] = check
}

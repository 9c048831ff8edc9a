package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/clusters/bootstrap"
	"github.com/periplus-fleet/periplus/clusters/fleetcluster"
	"github.com/periplus-fleet/periplus/hub/chart"
	"github.com/periplus-fleet/periplus/hub/control"
	"github.com/periplus-fleet/periplus/hub/fleet/apply"
	"github.com/periplus-fleet/periplus/hub/gate"
	"github.com/periplus-fleet/periplus/hub/identity"
	"github.com/periplus-fleet/periplus/hub/link"
	"github.com/periplus-fleet/periplus/hub/link/storelink"
	"github.com/periplus-fleet/periplus/hub/plugins"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/hub/source"
	"github.com/periplus-fleet/periplus/hub/statusapi"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/hub/tokens"
)

const (
	// workers of each cluster controller.
	workers = 8
	// silence after which a cluster that a dead process had is shown as silent; a successor has had time to hear it.
	silence = 45 * time.Second
	// drainPatience is how long streams and requests may take to end.
	drainPatience = 5 * time.Second
)

// runControl decides: it leads, or waits to.
func (h *hub) runControl(ctx context.Context) error {
	mgr, err := manager.New(h.cfg.Rest, manager.Options{Scheme: h.scheme, Metrics: server.Options{BindAddress: "0"},
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: uncached()}}})
	if err != nil {
		return err
	}
	repos, err := source.New(source.Config{Dir: filepath.Join(h.cfg.DataDir, "repos"), Log: h.cfg.Log})
	if err != nil {
		return err
	}
	configured := h.cfg.Plugins
	configured.Store = h.store
	running, err := plugins.Start(ctx, configured)
	if err != nil {
		return err
	}
	defer running.Close()
	renderer, err := render.New(render.Config{Renderers: running.Renderers(), SecretKey: h.cfg.StoreKey, Folder: filepath.Join(h.cfg.DataDir, "renders"),
		Decrypter: running.Decrypter(), Generated: h.store, Log: h.cfg.Log})
	if err != nil {
		return err
	}
	charts, err := chart.New(chart.Config{Dir: filepath.Join(h.cfg.DataDir, "charts"), Records: h.store})
	if err != nil {
		return err
	}
	resolver, err := target.NewResolver()
	if err != nil {
		return err
	}
	var controller *control.Controller
	controller, err = control.New(control.Config{Manager: mgr, Namespace: h.cfg.Namespace, Process: h.process, Store: h.store, Source: repos,
		Applier: apply.New(h.cfg.Rest), Resolver: resolver, Charts: charts, Renderer: renderer, Gate: gate.New(gate.Config{}), PolicyKey: h.cfg.PolicyKey, Log: h.cfg.Log,
		OnLead: func(ctx context.Context, meta store.Meta) error { return h.onLead(ctx, mgr, controller, meta) }})
	if err != nil {
		return err
	}
	return controller.Run(ctx)
}

// onLead starts what only the leader may do: sign certificates, make clusters, install agents.
func (h *hub) onLead(ctx context.Context, mgr manager.Manager, controller *control.Controller, meta store.Meta) error {
	ca, err := identity.LoadOrCreate(ctx, h.direct, h.cfg.Namespace, meta.FleetID)
	if err != nil {
		return err
	}
	public := ca.Public(h.cfg.LinkEndpoints, h.cfg.APIEndpoint)
	if err := public.Publish(ctx, h.direct, h.cfg.Namespace); err != nil {
		return err
	}
	issuer := identity.NewIssuer(identity.IssuerConfig{CA: ca, Public: public, Queue: storelink.Identity{Store: h.store}, Clusters: controller,
		Admit: controller.AdmitJoin, Term: controller.Term, Log: h.cfg.Log})
	go func() { _ = issuer.Run(ctx) }()
	joining := tokens.Service{Client: mgr.GetClient(), Store: h.store, Now: time.Now}
	err = ctrl.NewControllerManagedBy(mgr).Named("jointoken").For(&v1alpha1.JoinToken{}).Complete(reconcile.Func(joining.Reconcile))
	if err != nil {
		return err
	}
	clusters := fleetcluster.New(fleetcluster.Config{Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Drainer: controller, Forgetter: controller})
	if err := clusters.SetupWithManager(mgr, workers); err != nil {
		return err
	}
	agents, err := bootstrap.New(bootstrap.Config{Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Tokens: joining,
		Hub: bootstrap.Hub{Endpoints: h.cfg.LinkEndpoints, CAHash: public.CAHash, ImageRepository: h.cfg.AgentImageRepository, ImageTag: h.cfg.AgentImageTag}})
	if err != nil {
		return err
	}
	return agents.SetupWithManager(mgr, workers)
}

// runLink faces the agents.
func (h *hub) runLink(ctx context.Context) error {
	public, err := h.public(ctx)
	if err != nil {
		return err
	}
	certificate, err := h.server(ctx)
	if err != nil {
		return err
	}
	verifier, err := identity.NewVerifier(public, storelink.Identity{Store: h.store}, 0)
	if err != nil {
		return err
	}
	service := link.New(link.Config{Store: storelink.Link{Store: h.store}, Asker: storelink.Identity{Store: h.store}, Verifier: verifier, Public: public,
		Process: h.process, Version: h.cfg.Version, Metrics: h.metrics, Log: h.cfg.Log})
	listener, err := net.Listen("tcp", h.cfg.LinkAddress)
	if err != nil {
		return fmt.Errorf("cannot listen for agents: %w", err)
	}
	grpcServer := grpc.NewServer(service.ServerOptions(certificate)...)
	service.Register(grpcServer)
	go func() { _ = certificate.Run(ctx) }()
	go func() { _ = service.Run(ctx) }()
	go h.asking.Serve(ctx, service)
	go h.silenceLoop(ctx)
	go func() {
		<-ctx.Done()
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainPatience)
		defer cancel()
		_ = service.Drain(patience)
		grpcServer.Stop()
	}()
	h.setReady(RoleLink, h.storeAnswers)
	h.cfg.Log.Info("agents are welcome", "address", listener.Addr().String())
	return grpcServer.Serve(listener)
}

// silenceLoop shows clusters as silent whose process died and that no other process hears.
func (h *hub) silenceLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(silence / 3):
		}
		if time.Since(h.started) < silence {
			continue
		}
		if err := h.store.SilenceUnheard(ctx, time.Now().Add(-silence)); err != nil && ctx.Err() == nil {
			h.cfg.Log.Warn("cannot mark silent clusters", "error", err)
		}
	}
}

// runAPI faces people.
func (h *hub) runAPI(ctx context.Context) error {
	public, err := h.public(ctx)
	if err != nil {
		return err
	}
	certificate, err := h.server(ctx)
	if err != nil {
		return err
	}
	kube, err := cluster.New(h.cfg.Rest, func(o *cluster.Options) {
		o.Scheme = h.scheme
		o.Client.Cache = &client.CacheOptions{DisableFor: uncached()}
	})
	if err != nil {
		return err
	}
	go func() { _ = kube.Start(ctx) }()
	if !kube.GetCache().WaitForCacheSync(ctx) {
		return ctx.Err()
	}
	users, err := statusapi.HubClientCAs(ctx, h.direct)
	if err != nil {
		return err
	}
	service := statusapi.New(statusapi.Config{Store: h.store, Asker: h.asking, Client: kube.GetClient(), Endpoints: public.Endpoints, CAHash: public.CAHash,
		Tokens:  tokens.Service{Client: h.direct, Store: h.store, Now: time.Now},
		Version: h.cfg.Version, Commit: h.cfg.Commit, Log: h.cfg.Log})
	handler, err := service.Handler(ctx, statusapi.Hooks{Client: h.direct})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", h.cfg.APIAddress)
	if err != nil {
		return fmt.Errorf("cannot listen for people: %w", err)
	}
	httpServer := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate.Certificate, ClientCAs: users,
			ClientAuth: tls.VerifyClientCertIfGiven, NextProtos: []string{"h2", "http/1.1"}}}
	if users == nil {
		httpServer.TLSConfig.ClientAuth = tls.NoClientCert
	}
	go func() { _ = certificate.Run(ctx) }()
	go func() {
		<-ctx.Done()
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainPatience)
		defer cancel()
		_ = httpServer.Shutdown(patience)
	}()
	h.setReady(RoleAPI, h.storeAnswers)
	h.cfg.Log.Info("the status API answers", "address", listener.Addr().String())
	if err := httpServer.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (h *hub) storeAnswers(ctx context.Context) error {
	_, err := h.store.Meta(ctx)
	return err
}

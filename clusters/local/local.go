// Package local is the Cluster API provider of the sandbox: clusters whose control planes are processes of this machine and
// whose machines are simulated. Run holds Cluster API's core and the provider in one process:
//
//	Cluster -> core's topology (capi) -> LocalCluster (infra: a port), LocalControlPlane (controlplane: keys, kubeconfig)
//	        -> member (kube-apiserver, kube-controller-manager, kube-scheduler; kwok and podrunner beside them)
//	        -> Machines -> LocalBootstrap, LocalMachine (machine: a Node in the member)
package local

import (
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/periplus-fleet/periplus/clusters/local/apiserver"
	"github.com/periplus-fleet/periplus/clusters/local/capi"
	"github.com/periplus-fleet/periplus/clusters/local/controlplane"
	"github.com/periplus-fleet/periplus/clusters/local/infra"
	"github.com/periplus-fleet/periplus/clusters/local/kwok"
	"github.com/periplus-fleet/periplus/clusters/local/machine"
	"github.com/periplus-fleet/periplus/clusters/local/member"
	"github.com/periplus-fleet/periplus/clusters/local/podrunner"
	"github.com/periplus-fleet/periplus/clusters/local/v1alpha1"
)

// Config of the provider.
type Config struct {
	// Kubeconfig of the hub's API server, where Clusters are declared.
	Kubeconfig *rest.Config
	// Installer is the identity that installs CRDs and webhooks and that binds rights. Default: Kubeconfig.
	Installer *rest.Config
	// DataDir holds <namespace>/<name> of each member: keys, logs, the audit log "audit.log".
	DataDir string
	// Etcd of the members.
	Etcd apiserver.Access
	// KubeBinary is the multi-call binary of e2e/tools/kube.
	KubeBinary string
	// AgentBinary is run for the agent's pod in each member. Empty: no pod runs anything.
	AgentBinary string
	// Ports that members' API servers get. Default 17000-17999.
	Ports v1alpha1.PortRange
	// WebhookPort of Cluster API's admission on 127.0.0.1. Default 17443.
	WebhookPort int
	Log         *slog.Logger
}

const (
	shutdownPatience = 30 * time.Second
	changes          = 1024
)

func (c Config) withDefaults() Config {
	if c.Installer == nil {
		c.Installer = c.Kubeconfig
	}
	if c.Ports.First == 0 {
		c.Ports = v1alpha1.PortRange{First: 17000, Last: 17999}
	}
	if c.WebhookPort == 0 {
		c.WebhookPort = 17443
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Run installs what the provider needs on the hub's API server and reconciles until ctx is done; then it ends the members'
// processes and keeps their objects.
func Run(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	built, err := builtVersion(ctx, cfg.KubeBinary)
	if err != nil {
		return err
	}
	if err := Install(ctx, cfg); err != nil {
		return err
	}
	changed := make(chan event.GenericEvent, changes)
	members, err := member.Open(ctx, member.Config{Kube: cfg.KubeBinary, Folder: filepath.Join(cfg.DataDir, "members"), Etcd: cfg.Etcd, Log: cfg.Log,
		Changed: notify(changed), Companions: companions(cfg)})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
		defer cancel()
		if err := members.Close(ctx); err != nil {
			cfg.Log.Error("cannot end the members", "err", err)
		}
	}()
	mgr, err := newManager(cfg)
	if err != nil {
		return fmt.Errorf("cannot set up the local provider: %w", err)
	}
	if _, err := capi.Setup(ctx, mgr); err != nil {
		return err
	}
	if err := setupProvider(ctx, mgr, cfg, parts{members: members, changed: changed, built: built}); err != nil {
		return err
	}
	cfg.Log.Info("the local provider runs", "kubernetes", built, "data", cfg.DataDir)
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("the local provider ended: %w", err)
	}
	return nil
}

func companions(cfg Config) []member.Companion {
	out := []member.Companion{kwok.Companion()}
	if cfg.AgentBinary != "" {
		out = append(out, podrunner.Companion(podrunner.Config{Binary: cfg.AgentBinary, Log: cfg.Log}))
	}
	return out
}

// notify wakes the control plane's reconciler. A full channel loses nothing that matters: what it holds is not read yet, and
// the reconciler looks at everything again in a while.
func notify(changed chan<- event.GenericEvent) func(types.NamespacedName) {
	return func(cluster types.NamespacedName) {
		object := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: cluster.Name}}
		select {
		case changed <- event.GenericEvent{Object: object}:
		default:
		}
	}
}

func newManager(cfg Config) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := addToScheme(scheme); err != nil {
		return nil, err
	}
	config := rest.CopyConfig(cfg.Kubeconfig)
	config.QPS, config.Burst = 100, 200
	logger := logr.FromSlogHandler(cfg.Log.Handler())
	ctrl.SetLogger(logger)
	return ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Logger: logger, Cache: capi.CacheOptions(scheme), Client: capi.ClientOptions(),
		Metrics: server.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		WebhookServer: webhook.NewServer(webhook.Options{Host: webhookHost, Port: cfg.WebhookPort, CertDir: certDir(cfg)}),
	})
}

type parts struct {
	members *member.Set
	changed <-chan event.GenericEvent
	built   string
}

func setupProvider(ctx context.Context, mgr ctrl.Manager, cfg Config, p parts) error {
	access := func(cluster *clusterv1.Cluster) (*rest.Config, error) {
		return p.members.Config(cluster.UID, "periplus-machines", "system:masters")
	}
	if err := (&infra.Reconciler{Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Ports: cfg.Ports}).SetupWithManager(ctx, mgr); err != nil {
		return fmt.Errorf("cannot reconcile LocalClusters: %w", err)
	}
	plane := &controlplane.Reconciler{Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Members: p.members, Built: p.built, Changed: p.changed}
	if err := plane.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("cannot reconcile LocalControlPlanes: %w", err)
	}
	if err := (&machine.Reconciler{Client: mgr.GetClient(), Access: access}).SetupWithManager(mgr); err != nil {
		return fmt.Errorf("cannot reconcile LocalMachines: %w", err)
	}
	if err := (&machine.BootstrapReconciler{Client: mgr.GetClient()}).SetupWithManager(mgr); err != nil {
		return fmt.Errorf("cannot reconcile LocalBootstraps: %w", err)
	}
	return nil
}

// builtVersion asks the multi-call binary what it was built as.
func builtVersion(ctx context.Context, kube string) (string, error) {
	out, err := exec.CommandContext(ctx, kube, "kube-apiserver", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("cannot ask %q for its version: %w", kube, err)
	}
	version := strings.TrimPrefix(strings.TrimSpace(string(out)), "Kubernetes ")
	if !strings.HasPrefix(version, "v") {
		return "", fmt.Errorf("cannot ask %q for its version: it answers %q", kube, version)
	}
	return version, nil
}

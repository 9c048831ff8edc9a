package sandbox

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/clusters/local/apiserver"
	"github.com/periplus-fleet/periplus/clusters/local/process"
)

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, clusterv1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err) // the same kinds in every process: a conflict is a mistake of this source
		}
	}
	return s
}

// The hub's etcd syncs: an older copy of it is put back in a restore drill, and a copy of what was never written proves nothing.
func hubEtcd(cfg Config, ports Ports) apiserver.Etcd {
	return apiserver.Etcd{Kube: cfg.binary("kube"), Folder: cfg.path("hub-etcd"), Port: ports["hub etcd"], PeerPort: ports["hub etcd peer"]}
}

func membersEtcd(cfg Config, ports Ports) apiserver.Etcd {
	return apiserver.Etcd{Kube: cfg.binary("kube"), Folder: cfg.path("members-etcd"), Port: ports["members etcd"],
		PeerPort: ports["members etcd peer"], NoSync: true}
}

func hubServer(cfg Config, ports Ports, etcd apiserver.Etcd) *apiserver.Server {
	return &apiserver.Server{Kube: cfg.binary("kube"), Name: "hub", Folder: cfg.path("hub-api"), Port: ports["hub Kubernetes API"],
		Etcd: etcd.Access(), Prefix: "/hub", Audit: true}
}

// providersSpec runs this binary's subcommand: Cluster API's controllers take the place that their own deployment has in a
// data centre, and end and start without the supervisor.
func providersSpec(cfg Config, ports Ports) process.Spec {
	self, err := os.Executable()
	if err != nil || filepath.Base(self) != "periplus-sandbox" {
		self = cfg.binary("periplus-sandbox") // a test's binary has no such subcommand
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(ports["cluster API webhooks"]))
	return process.Spec{Name: PartProviders, Path: self, Args: []string{"providers", "--dir", cfg.Folder, "--bin", cfg.Bin},
		Log: cfg.path("providers", "providers.log"), PidFile: cfg.path("providers", "providers.pid"), Grace: 30 * time.Second,
		Ready: func(ctx context.Context) error {
			// It opens the port when its kinds are served and its controllers run.
			connection, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			return connection.Close()
		}}
}

func hubSpec(cfg Config, ports Ports) process.Spec {
	health := fmt.Sprintf("127.0.0.1:%d", ports["hub health"])
	return process.Spec{Name: PartHub, Path: cfg.binary("periplus-hub"), Args: []string{
		"--kubeconfig", cfg.path("hub", "kubeconfig"),
		"--namespace", SystemNamespace,
		"--store", "sqlite://" + cfg.absolute("hub", "store.db"),
		"--data-dir", cfg.path("hub"),
		"--link-address", fmt.Sprintf("127.0.0.1:%d", ports["hub link"]),
		"--api-address", fmt.Sprintf("127.0.0.1:%d", ports["hub API"]),
		"--health-address", health,
		"--plugins-config", cfg.pluginsFile(), "--plugins-dir", cfg.pluginsDir(),
	}, Log: cfg.path("hub", "hub.log"), PidFile: cfg.path("hub", "hub.pid"), Grace: 10 * time.Second,
		Ready: func(ctx context.Context) error { return healthy(ctx, "http://"+health+"/readyz") }}
}

func (c Config) absolute(parts ...string) string {
	path, err := filepath.Abs(c.path(parts...))
	if err != nil {
		return c.path(parts...)
	}
	return path
}

func healthy(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}).Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}

// declare applies the FleetRepo: from here on Git decides.
func (s *Sandbox) declare(ctx context.Context) error {
	repo := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "FleetRepo",
		"metadata": map[string]any{"name": RepoName, "namespace": TenantNamespace},
		"spec": map[string]any{"url": s.git.url, "ref": map[string]any{"branch": "main"},
			// The remote is on this machine: asking it often costs nothing.
			"interval": (&metav1.Duration{Duration: time.Second}).Duration.String(), "serviceAccountName": writerAccount},
	}}
	return apply(ctx, s.Client, repo)
}

func writePrivate(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// Package command is the periplus-hub command: flags to a hub.Config.
package command

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/periplus-fleet/periplus/hub"
	"github.com/periplus-fleet/periplus/hub/plugins"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/policies/parcel"
)

// storeKeySecret holds the store's key where no file is named.
const storeKeySecret = "periplus-store-key"

type flags struct {
	kubeconfig, namespace, storeURL, storeKeyFile, dataDir string
	linkAddress, apiAddress, healthAddress, apiEndpoint    string
	roles, linkEndpoints                                   []string
	agentRepository, agentTag, logLevel                    string
	pluginsConfig, pluginsDir, policyKey                   string
	strict                                                 bool
}

// New is the command of a hub process.
func New(version string) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "periplus-hub",
		Short: "The hub of a fleet: reads the fleet repo, makes clusters, hands out bundles, shows status",
		Example: `  periplus-hub --store sqlite:///var/lib/periplus/hub.db --link-endpoint hub.example.com:7443
  periplus-hub --roles link --store postgres://hub@db/periplus --store-key-file /etc/periplus/store.key`,
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true, Version: version,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), cmd.ErrOrStderr(), version) },
	}
	set := cmd.Flags()
	set.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig of the hub's cluster (default: $KUBECONFIG, then in-cluster)")
	set.StringVar(&f.namespace, "namespace", "periplus-system", "namespace of the hub's own objects")
	set.StringSliceVar(&f.roles, "roles", hub.AllRoles(), "parts that this process runs: link, api, control")
	set.StringVar(&f.storeURL, "store", "", "sqlite:///path/file.db or postgres://... (default: SQLite in --data-dir)")
	set.StringVar(&f.storeKeyFile, "store-key-file", "", "file with the 32 bytes that encrypt Secrets in the store (default: the Secret periplus-store-key)")
	set.StringVar(&f.dataDir, "data-dir", "/var/lib/periplus", "folder of fetched repositories")
	set.StringVar(&f.linkAddress, "link-address", ":7443", "where agents are listened for")
	set.StringVar(&f.apiAddress, "api-address", ":7444", "where people and push webhooks are listened for")
	set.StringVar(&f.healthAddress, "health-address", "127.0.0.1:7446", "where /healthz, /readyz and /metrics answer, in plain HTTP; \"\" is nowhere")
	set.StringSliceVar(&f.linkEndpoints, "link-endpoint", nil, "host:port at which agents reach the hub, in order of preference (default: --link-address)")
	set.StringVar(&f.apiEndpoint, "api-endpoint", "", "host:port at which people reach the API (default: --api-address)")
	set.StringVar(&f.agentRepository, "agent-image-repository", "", "image of agents in provisioned clusters (default: the chart's)")
	set.StringVar(&f.agentTag, "agent-image-tag", "", "its tag")
	set.StringVar(&f.pluginsConfig, "plugins-config", "", "file that declares external plugins and limits of built-in ones")
	set.StringVar(&f.pluginsDir, "plugins-dir", "/usr/lib/periplus/plugins", "folder of the external plugins' programs")
	set.StringVar(&f.policyKey, "policy-signing-key", "", "PEM file with the Ed25519 key that signs the policies of clusters (openssl genpkey -algorithm ed25519); agents with --policy-key verify it")
	set.BoolVar(&f.strict, "strict", false, "refuse to start with a plugin that is wrong or that cannot be kept off the network")
	set.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	cmd.AddCommand(pluginCommand())
	return cmd
}

func (f flags) run(ctx context.Context, errs io.Writer, version string) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return fmt.Errorf("--log-level %q: want debug, info, warn or error", f.logLevel)
	}
	log := slog.New(slog.NewJSONHandler(errs, &slog.HandlerOptions{Level: level}))
	libraries := logr.FromSlogHandler(slog.NewJSONHandler(errs, &slog.HandlerOptions{Level: max(level, slog.LevelWarn)}))
	ctrl.SetLogger(libraries)
	klog.SetLogger(libraries)
	config, err := f.rest()
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 200, 400
	key, err := f.storeKey(ctx, config)
	if err != nil {
		return err
	}
	if f.storeURL == "" {
		f.storeURL = "sqlite://" + filepath.Join(f.dataDir, "hub.db")
	}
	if len(f.linkEndpoints) == 0 {
		f.linkEndpoints = []string{reachable(f.linkAddress)}
	}
	if f.apiEndpoint == "" {
		f.apiEndpoint = reachable(f.apiAddress)
	}
	var policyKey ed25519.PrivateKey
	if f.policyKey != "" {
		if policyKey, err = parcel.SigningKey(f.policyKey); err != nil {
			return fmt.Errorf("--policy-signing-key: %w", err)
		}
	}
	return hub.Run(ctx, hub.Config{PolicyKey: policyKey, Rest: config, Namespace: f.namespace, Roles: f.roles, StoreURL: f.storeURL, StoreKey: key, DataDir: f.dataDir,
		LinkAddress: f.linkAddress, APIAddress: f.apiAddress, HealthAddress: f.healthAddress, LinkEndpoints: f.linkEndpoints,
		APIEndpoint: f.apiEndpoint, AgentImageRepository: f.agentRepository, AgentImageTag: f.agentTag, Version: version, Log: log,
		Plugins: plugins.Config{Command: pluginProgram(), File: f.pluginsConfig, Dir: f.pluginsDir, Strict: f.strict, Log: log}})
}

// reachable fills in the host where an address listens on all of them.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || (host != "" && host != "0.0.0.0" && host != "::") {
		return address
	}
	if host, err = os.Hostname(); err != nil {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

func (f flags) rest() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("cannot reach the hub's cluster: %w", err)
	}
	return config, nil
}

// storeKey reads the key from its file, or from its Secret, which is made at the first start.
func (f flags) storeKey(ctx context.Context, config *rest.Config) ([]byte, error) {
	if f.storeKeyFile != "" {
		key, err := os.ReadFile(f.storeKeyFile)
		if err != nil {
			return nil, fmt.Errorf("cannot read --store-key-file: %w", err)
		}
		if len(key) != store.KeySize {
			return nil, fmt.Errorf("--store-key-file %q has %d bytes, not %d", f.storeKeyFile, len(key), store.KeySize)
		}
		return key, nil
	}
	if !strings.Contains(strings.Join(f.roles, ","), hub.RoleControl) {
		return nil, errors.New("a process without the control role needs --store-key-file: it may not read Secrets")
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	secrets := kube.CoreV1().Secrets(f.namespace)
	for {
		secret, err := secrets.Get(ctx, storeKeySecret, metav1.GetOptions{})
		if err == nil {
			return secret.Data["key"], nil
		}
		if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("cannot read the store's key from Secret %q: %w", f.namespace+"/"+storeKeySecret, err)
		}
		key := make([]byte, store.KeySize)
		rand.Read(key)
		_, err = secrets.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: storeKeySecret}, Data: map[string][]byte{"key": key}}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return nil, fmt.Errorf("cannot keep the store's key in Secret %q: %w", f.namespace+"/"+storeKeySecret, err)
		}
	}
}

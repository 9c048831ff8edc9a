package sandbox

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/periplus-fleet/periplus/clusters/local"
	"github.com/periplus-fleet/periplus/clusters/local/v1alpha1"
)

// memberPorts is how many members' API servers one sandbox can have.
const memberPorts = 100

// Providers is `periplus-sandbox providers`, which the supervisor runs: Cluster API with the local provider.
func Providers(ctx context.Context, cfg Config) error {
	kubeconfig := cfg.path("providers", "kubeconfig")
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", kubeconfig, err)
	}
	ports, err := loadPorts(cfg.path("ports.json"))
	if err != nil {
		return err
	}
	first := int32(memberRange(cfg.Absolute()))
	return local.Run(ctx, local.Config{
		Kubeconfig: config, DataDir: cfg.Absolute(), Etcd: membersEtcd(cfg, ports).Access(),
		KubeBinary: cfg.binary("kube"), AgentBinary: cfg.binary("periplus-agent"),
		Ports:       v1alpha1.PortRange{First: first, Last: first + memberPorts - 1},
		WebhookPort: ports["cluster API webhooks"],
		Log:         slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
}

// memberRange gives each folder its own range below those that the system hands out, so that a check beside a sandbox, also
// a stopped one, does not take its clusters' ports.
func memberRange(folder string) int {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(folder))
	return 17000 + int(hash.Sum32()%100)*memberPorts
}

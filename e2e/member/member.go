// Package member is one member cluster for measurements: an etcd and an API server of its own, a hub of which only the link
// is real, and the agent as the process that ships, with the rights that its chart gives it. What it is asked for is counted
// in the API server's audit log, what it takes of the machine is read from the kernel.
package member

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/periplus-fleet/periplus/clusters/local/apiserver"
	"github.com/periplus-fleet/periplus/clusters/local/process"
	"github.com/periplus-fleet/periplus/e2e/testenv"
)

const (
	// system is the agent's namespace, Space that of what bundles bring.
	system = "periplus-system"
	Space  = "space"
	// startTimeout of one part; a busy machine needs half of it.
	startTimeout = 2 * time.Minute
)

// Config of a Member.
type Config struct {
	// Profile is a folder for profiles of the agent; "" runs the agent as it ships.
	Profile string
}

// Member is a running cluster with a hub; the agent is started by StartAgent.
type Member struct {
	Hub    *Hub
	Client kubernetes.Interface
	Audit  *Audit
	// Admin is the configuration of somebody who may do everything and is not the agent.
	Admin *rest.Config

	config Config
	// folder for data, logs and the binary; it goes with Stop.
	folder     string
	server     *apiserver.Server
	api        *process.Process
	processes  []*process.Process
	kubeconfig string
	binary     string
	starts     int
}

// Start runs everything but the agent. What was started before an error ends with Stop.
func Start(ctx context.Context, config Config) (*Member, error) {
	m := &Member{config: config}
	for _, step := range []func(context.Context) error{m.own, m.control, m.build, m.rights, m.hub} {
		if err := step(ctx); err != nil {
			return m, fmt.Errorf("cannot start a member cluster: %w", err)
		}
	}
	return m, nil
}

// Stop ends every process.
func (m *Member) Stop() error {
	var failed []error
	if m.Hub != nil {
		m.Hub.Stop()
	}
	for i := len(m.processes) - 1; i >= 0; i-- {
		failed = append(failed, m.processes[i].Stop(context.Background()))
	}
	return errors.Join(append(failed, os.RemoveAll(m.folder))...)
}

// own makes the folder, and ends what an earlier run left that was killed.
func (m *Member) own(ctx context.Context) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	base := filepath.Join(cache, "periplus", "members")
	if err := os.MkdirAll(base, 0o700); err != nil {
		return err
	}
	if err := process.EndLeftovers(ctx, base); err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(base, "*"))
	if err != nil {
		return err
	}
	for _, folder := range left {
		// One that lives has pid files; one that starts is young.
		pids, _ := filepath.Glob(filepath.Join(folder, "*", "*.pid"))
		if info, err := os.Stat(folder); err == nil && len(pids) == 0 && time.Since(info.ModTime()) > startTimeout {
			if err := os.RemoveAll(folder); err != nil {
				return err
			}
		}
	}
	m.folder, err = os.MkdirTemp(base, "")
	return err
}

// control starts etcd and the API server.
func (m *Member) control(ctx context.Context) error {
	kube, err := testenv.FindKube()
	if err != nil {
		return err
	}
	ports, err := testenv.FreePorts(3)
	if err != nil {
		return err
	}
	etcd := apiserver.Etcd{Kube: kube, Folder: filepath.Join(m.folder, "etcd"), Port: ports[0], PeerPort: ports[1], NoSync: true}
	spec, err := etcd.Spec()
	if err != nil {
		return err
	}
	if _, err := m.run(ctx, spec); err != nil {
		return err
	}
	m.server = &apiserver.Server{Kube: kube, Name: "member", Folder: filepath.Join(m.folder, "member"), Port: ports[2],
		Etcd: etcd.Access(), Prefix: "/member", Audit: true, Args: []string{"--audit-log-maxsize=4096"}}
	if err = m.StartServer(ctx); err != nil {
		return err
	}
	if m.Admin, err = m.server.Config("somebody", "system:masters"); err != nil {
		return err
	}
	m.Audit = &Audit{path: m.server.AuditLog()}
	m.Client, err = kubernetes.NewForConfig(m.Admin)
	return err
}

func (m *Member) run(ctx context.Context, spec process.Spec) (*process.Process, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p, err := process.Start(ctx, spec, process.Options{})
	if err != nil {
		return nil, fmt.Errorf("%w; its last words: %s", err, process.Tail(spec.Log, 3))
	}
	m.processes = append(m.processes, p)
	return p, nil
}

// build makes the agent as `make build` does; one that writes profiles differs in nothing else.
func (m *Member) build(ctx context.Context) error {
	root, err := testenv.Root()
	if err != nil {
		return err
	}
	source := "./cmd/periplus-agent"
	if m.config.Profile != "" {
		source = "./e2e/member/profiled"
		if err := os.MkdirAll(m.config.Profile, 0o755); err != nil {
			return err
		}
	}
	m.binary = filepath.Join(m.folder, "periplus-agent")
	command := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", m.binary, source)
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the agent: %w: %s", err, out)
	}
	return nil
}

// BinarySize of the agent in bytes.
func (m *Member) BinarySize() (int64, error) {
	info, err := os.Stat(m.binary)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// hub opens the link.
func (m *Member) hub(ctx context.Context) error {
	var err error
	if m.Hub, err = newHub(ctx, HubConfig{}); err != nil {
		return err
	}
	return m.joinSecret(ctx)
}

// Fresh makes the cluster one that no agent ran in, and gives it another hub. The agent must not run, and what bundles brought
// stays.
func (m *Member) Fresh(ctx context.Context, config HubConfig) error {
	m.Hub.Stop()
	err := m.Client.CoreV1().Secrets(system).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("cannot remove the agent's Secrets: %w", err)
	}
	if m.Hub, err = newHub(ctx, config); err != nil {
		return err
	}
	return m.joinSecret(ctx)
}

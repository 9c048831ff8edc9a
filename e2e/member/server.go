package member

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"k8s.io/client-go/rest"

	"github.com/periplus-fleet/periplus/clusters/local/apiserver"
)

// KillServer ends the API server as a machine that fails does; what etcd has stays.
func (m *Member) KillServer() error {
	pid := m.api.Pid()
	if pid <= 1 {
		return fmt.Errorf("cannot kill the API server: it ended by itself: %w", m.api.Err())
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("cannot kill the API server: %w", err)
	}
	<-m.api.Exited()
	return nil
}

// StartServer starts the API server, at its first start or after KillServer, and waits until it is ready.
func (m *Member) StartServer(ctx context.Context) error {
	spec, err := m.server.Spec()
	if err != nil {
		return err
	}
	m.api, err = m.run(ctx, spec)
	return err
}

// AgentConfig reaches the API server as the agent does.
func (m *Member) AgentConfig() (*rest.Config, error) {
	return m.server.Config(agentUser, agentGroups...)
}

// Route has agents that are started from now on reach the API server at another address, with another CA; what answers there
// calls on as the agent.
func (m *Member) Route(address string, ca []byte) error {
	data, err := apiserver.Kubeconfig("member", "agent", &rest.Config{Host: address, TLSClientConfig: rest.TLSClientConfig{CAData: ca}})
	if err != nil {
		return err
	}
	return os.WriteFile(m.kubeconfig, data, 0o600)
}

// RouteDirectly takes Route back.
func (m *Member) RouteDirectly() error {
	data, err := m.server.Kubeconfig(agentUser, agentGroups...)
	if err != nil {
		return err
	}
	return os.WriteFile(m.kubeconfig, data, 0o600)
}

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/clusters/local/apiserver"
	"github.com/periplus-fleet/periplus/clusters/local/process"
)

// Sandbox is a running one.
type Sandbox struct {
	cfg   Config
	steps steps
	lock  io.Closer
	git   *gitServer
	parts []part

	// Ports of everything that listens.
	Ports Ports
	// Admin is the administrator of the hub's cluster.
	Admin *rest.Config
	// Client of the same, for our kinds and any other.
	Client client.Client
}

// part is one supervised process, in the order of starts.
type part struct {
	name    string
	spec    process.Spec
	process *process.Process
}

// Names of the parts.
const (
	PartHubEtcd     = "etcd of the hub"
	PartMembersEtcd = "etcd of the members"
	PartAPI         = "Kubernetes API of the hub"
	PartControllers = "controllers of the hub's cluster"
	PartProviders   = "Cluster API and the local provider"
	PartHub         = "periplus-hub"
)

// Up starts everything, or nothing: when a part cannot start, those before it are ended.
func Up(ctx context.Context, cfg Config) (*Sandbox, error) {
	s := &Sandbox{cfg: cfg, steps: steps{out: cfg.Out, began: time.Now()}}
	if err := s.up(ctx); err != nil {
		// The person may have pressed Ctrl-C, which ended ctx: ending the parts has its own time.
		return nil, errors.Join(err, s.Down(context.WithoutCancel(ctx)))
	}
	return s, nil
}

func (s *Sandbox) up(ctx context.Context) error {
	if err := os.MkdirAll(s.cfg.Folder, 0o755); err != nil {
		return &Failure{What: "cannot make the sandbox's folder", Do: "choose another with --dir", Err: err}
	}
	lock, err := process.Lock(s.cfg.path("lock"))
	if errors.Is(err, process.ErrRunning) {
		return &Failure{What: "a sandbox runs already in " + s.cfg.Folder, Do: "end it with Ctrl-C where it was started"}
	}
	if err != nil {
		return err
	}
	s.lock = lock
	if err := process.EndLeftovers(ctx, s.cfg.Folder); err != nil {
		return fmt.Errorf("cannot end what an earlier sandbox left: %w", err)
	}
	if s.Ports, err = loadPorts(s.cfg.path("ports.json")); err != nil {
		return err
	}
	if err := preflight(s.cfg, s.Ports); err != nil {
		return err
	}
	url := fmt.Sprintf("http://127.0.0.1:%d/fleet.git", s.Ports["git"])
	if err := s.steps.do("fleet repo", func() error { return prepareRepo(ctx, s.cfg, url) }); err != nil {
		return err
	}
	if s.git, err = serveGit(s.cfg, s.Ports["git"]); err != nil {
		return err
	}
	return s.startParts(ctx)
}

func (s *Sandbox) startParts(ctx context.Context) error {
	hubEtcd, membersEtcd := hubEtcd(s.cfg, s.Ports), membersEtcd(s.cfg, s.Ports)
	spec, err := hubEtcd.Spec()
	if err := s.start(ctx, PartHubEtcd, spec, err); err != nil {
		return err
	}
	spec, err = membersEtcd.Spec()
	if err := s.start(ctx, PartMembersEtcd, spec, err); err != nil {
		return err
	}
	server := hubServer(s.cfg, s.Ports, hubEtcd)
	spec, err = server.Spec()
	if err := s.start(ctx, PartAPI, spec, err); err != nil {
		return err
	}
	spec, err = server.ControllerManager(apiserver.ReducedControllers)
	if err := s.start(ctx, PartControllers, spec, err); err != nil {
		return err
	}
	if err := s.steps.do("kinds, accounts and rights", func() error { return s.access(ctx, server) }); err != nil {
		return err
	}
	if err := s.start(ctx, PartProviders, providersSpec(s.cfg, s.Ports), nil); err != nil {
		return err
	}
	err = declarePlugins(s.cfg)
	if err := s.start(ctx, PartHub, hubSpec(s.cfg, s.Ports), err); err != nil {
		return err
	}
	return s.steps.do("FleetRepo", func() error { return s.declare(ctx) })
}

// access gives the administrator, the provider and the hub their kubeconfigs, and installs what the hub needs.
func (s *Sandbox) access(ctx context.Context, server *apiserver.Server) error {
	var err error
	if s.Admin, err = server.Config("sandbox-admin", "system:masters"); err != nil {
		return err
	}
	for path, user := range map[string]string{s.cfg.Kubeconfig(): "sandbox-admin", s.cfg.path("providers", "kubeconfig"): "cluster-api"} {
		data, err := server.Kubeconfig(user, "system:masters")
		if err == nil {
			err = writePrivate(path, data)
		}
		if err != nil {
			return fmt.Errorf("cannot write the kubeconfig of %s: %w", user, err)
		}
	}
	if err := Install(ctx, s.Admin); err != nil {
		return err
	}
	if err := HubKubeconfig(ctx, s.Admin, s.cfg.path("hub", "kubeconfig")); err != nil {
		return err
	}
	s.Client, err = client.New(s.Admin, client.Options{Scheme: scheme()})
	return err
}

// start runs a part and waits until it does its work.
func (s *Sandbox) start(ctx context.Context, name string, spec process.Spec, err error) error {
	return s.steps.do(name, func() error {
		if err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		p, err := process.Start(limited, spec, process.Options{Restart: true, Report: s.report(name)})
		if err != nil {
			return &Failure{What: "cannot start " + name, Do: "see " + spec.Log, Err: oneLine(err)}
		}
		s.parts = append(s.parts, part{name: name, spec: spec, process: p})
		return nil
	})
}

func (s *Sandbox) report(name string) func(process.Event) {
	return func(event process.Event) {
		if event.Err != nil {
			s.steps.say("%s crashed: %v; starting it again in %s", name, event.Err, event.Delay)
			return
		}
		s.steps.say("%s is back (start %d)", name, event.Restarts+1)
	}
}

// Stop ends one part; Start brings it back. For drills.
func (s *Sandbox) Stop(ctx context.Context, name string) error {
	for _, p := range s.parts {
		if p.name == name {
			return p.process.Stop(ctx)
		}
	}
	return fmt.Errorf("the sandbox has no part %q", name)
}

// Start brings back a part that Stop ended, and waits until it does its work.
func (s *Sandbox) Start(ctx context.Context, name string) error {
	for i, p := range s.parts {
		if p.name != name {
			continue
		}
		again, err := process.Start(ctx, p.spec, process.Options{Restart: true, Report: s.report(name)})
		if err != nil {
			return err
		}
		s.parts[i].process = again
		return nil
	}
	return fmt.Errorf("the sandbox has no part %q", name)
}

// HubReady asks the hub.
func (s *Sandbox) HubReady(ctx context.Context) error { return hubSpec(s.cfg, s.Ports).Ready(ctx) }

// Reinstall applies again what an administrator installs for a hub: kinds, accounts, rights and admission policies.
func (s *Sandbox) Reinstall(ctx context.Context) error { return Install(ctx, s.Admin) }

// Pid of a part; 0 while it does not run.
func (s *Sandbox) Pid(name string) int {
	for _, p := range s.parts {
		if p.name == name {
			return p.process.Pid()
		}
	}
	return 0
}

// Down ends every process, the last started first, and keeps the state.
func (s *Sandbox) Down(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var all error
	for _, p := range slices.Backward(s.parts) {
		all = errors.Join(all, p.process.Stop(ctx))
	}
	s.parts = nil
	if s.git != nil {
		s.git.close()
	}
	if s.lock == nil {
		return all
	}
	// What a part started and could not end in its grace.
	all = errors.Join(all, process.EndLeftovers(ctx, s.cfg.Folder))
	all = errors.Join(all, s.lock.Close())
	s.lock = nil
	return all
}

// Reset forgets a sandbox's state. A running one is left alone.
func Reset(ctx context.Context, folder string) error {
	if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lock, err := process.Lock(Config{Folder: folder}.path("lock"))
	if err != nil {
		return &Failure{What: "a sandbox runs in " + folder, Do: "end it with Ctrl-C where it was started"}
	}
	defer func() { _ = lock.Close() }()
	if err := process.EndLeftovers(ctx, folder); err != nil {
		return err
	}
	if err := os.RemoveAll(folder); err != nil {
		return &Failure{What: "cannot remove " + folder, Err: err}
	}
	return nil
}

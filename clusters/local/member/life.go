package member

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/periplus-fleet/periplus/clusters/local/apiserver"
	"github.com/periplus-fleet/periplus/clusters/local/process"
)

// member owns the processes of one cluster: the goroutine of run alone starts and ends them.
type member struct {
	cfg    Config
	folder string
	poke   chan struct{}
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	wanted Spec
	state  State
	api    *apiserver.Server

	// Of the goroutine alone.
	processes  []*process.Process
	companions sync.WaitGroup
	stop       context.CancelFunc
}

func (m *member) want(spec Spec) State {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.wanted.Emulated != spec.Emulated {
		select {
		case m.poke <- struct{}{}:
		default:
		}
	}
	m.wanted = spec
	return m.state
}

func (m *member) spec() Spec {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wanted
}

func (m *member) server() *apiserver.Server {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.api
}

func (m *member) set(state State, api *apiserver.Server) {
	m.mu.Lock()
	m.state = state
	if api != nil {
		m.api = api
	}
	cluster := m.wanted.Cluster
	m.mu.Unlock()
	m.cfg.Changed(cluster)
}

func (m *member) end(ctx context.Context) error {
	m.cancel()
	select {
	case <-m.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cannot end cluster %q: %w", m.spec().Cluster, ctx.Err())
	}
}

// run brings the processes to what is wanted, until ctx is done; then it ends them.
func (m *member) run(ctx context.Context) {
	defer close(m.done)
	defer m.endAll()
	runs, delay := "", firstRetry
	for {
		spec := m.spec()
		var retry <-chan time.Time
		if spec.Emulated != runs {
			m.endProcesses()
			runs = ""
			if err := m.begin(ctx, spec); err != nil {
				if ctx.Err() != nil {
					return
				}
				m.set(State{Err: err}, nil)
				retry = time.After(delay)
				delay = min(2*delay, longestRetry)
			} else {
				runs, delay = spec.Emulated, firstRetry
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-m.poke:
		case <-retry:
		}
	}
}

// begin starts the API server, publishes it once it answers, and starts the rest.
func (m *member) begin(ctx context.Context, spec Spec) error {
	starting, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	server := &apiserver.Server{Kube: m.cfg.Kube, Name: spec.Cluster.Namespace + "/" + spec.Cluster.Name, Folder: m.folder,
		Port: spec.Port, Etcd: m.cfg.Etcd, Prefix: Prefix(spec.UID), CA: spec.CA, ServiceAccounts: spec.ServiceAccounts,
		EmulatedVersion: spec.Emulated, Audit: true,
		// Tens of members share one machine: memory is worth more than the collector's time.
		Env: []string{"GOGC=50", "GOMEMLIMIT=400MiB"}}
	api, err := server.Spec()
	if err != nil {
		return err
	}
	if err := m.launch(starting, api); err != nil {
		return err
	}
	manager, err := server.ControllerManager([]string{"*"}, "--emulated-version="+spec.Emulated)
	if err != nil {
		return err
	}
	scheduler, err := server.Scheduler("--emulated-version=" + spec.Emulated)
	if err != nil {
		return err
	}
	for _, part := range []process.Spec{manager, scheduler} {
		if err := m.launch(starting, part); err != nil {
			return err
		}
	}
	m.set(State{Emulated: spec.Emulated}, server)
	m.accompany(spec, server)
	return nil
}

func (m *member) launch(ctx context.Context, spec process.Spec) error {
	p, err := process.Start(ctx, spec, process.Options{Restart: true, Report: func(event process.Event) {
		m.cfg.Log.Info("member process ended by itself", "process", event.Name, "err", event.Err, "restarts", event.Restarts)
	}})
	if err != nil {
		return err
	}
	m.processes = append(m.processes, p)
	return nil
}

// accompany starts the companions, once in the member's life.
func (m *member) accompany(spec Spec, server *apiserver.Server) {
	if m.stop != nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	running := Running{UID: spec.UID, Cluster: spec.Cluster, Folder: m.folder, Server: server}
	for _, companion := range m.cfg.Companions {
		m.companions.Go(func() { m.keep(ctx, companion, running) })
	}
}

func (m *member) keep(ctx context.Context, companion Companion, running Running) {
	for delay := firstRetry; ; delay = min(2*delay, longestRetry) {
		err := companion.Run(ctx, running)
		if ctx.Err() != nil {
			return
		}
		m.cfg.Log.Warn("member's companion ended by itself", "companion", companion.Name, "cluster", running.Cluster, "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
	}
}

// endProcesses ends them all at once, as each may take its whole grace.
func (m *member) endProcesses() {
	var group sync.WaitGroup
	errs := make([]error, len(m.processes))
	for i, p := range m.processes {
		group.Go(func() { errs[i] = p.Stop(context.Background()) })
	}
	group.Wait()
	m.processes = nil
	if err := errors.Join(errs...); err != nil {
		m.cfg.Log.Error("cannot end member", "cluster", m.spec().Cluster, "err", err)
	}
}

func (m *member) endAll() {
	if m.stop != nil {
		m.stop()
	}
	m.companions.Wait()
	m.endProcesses()
}

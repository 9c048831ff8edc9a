package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Config of a Host.
type Config struct {
	// Types of plugins that the host has facades for.
	Types []Type
	// Strict refuses plugins that cannot be confined, and any that is refused ends Start.
	Strict bool
	// TempDir is where processes get their temporary folders; "" is the system's. Paths of sockets below it must be short.
	TempDir string
	// Jail is a program that calls jail.Enter with its last argument; processes start as it. Without one the hub's files are
	// not hidden from plugins, and only namespaces keep them off the network.
	Jail []string
	// NoNamespaces does without them where they may be made, too.
	NoNamespaces bool
	Log          *slog.Logger
}

// Host runs the plugins that it was started with.
type Host struct {
	cfg Config
	confinement
	plugins map[string]*Plugin
	order   []*Plugin
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// Start starts one process of each plugin and asks it what it is. A plugin that is wrong is refused: its calls fail with the
// reason, the others run; with Strict it is an error. One that crashes is started again.
func Start(ctx context.Context, cfg Config, declarations []Declaration) (*Host, error) {
	sweep(cfg.TempDir)
	h := &Host{cfg: cfg, confinement: cfg.confine(), plugins: map[string]*Plugin{}}
	var problems []error
	for _, declared := range declarations {
		plugin := h.add(declared)
		if plugin.refused != nil {
			problems = append(problems, plugin.fault(plugin.refused))
		}
	}
	if cfg.Strict && len(problems) > 0 {
		return nil, fmt.Errorf("cannot start the plugins: %w", errors.Join(problems...))
	}
	var group sync.WaitGroup
	for _, plugin := range h.order {
		group.Go(func() { plugin.first(ctx) })
	}
	group.Wait()
	for _, plugin := range h.order {
		if plugin.refused == nil {
			continue
		}
		cfg.Log.Error("the plugin is refused", "plugin", plugin.spec.Name, "pluginType", plugin.spec.Type, "reason", plugin.refused)
		problems = append(problems, plugin.fault(plugin.refused))
	}
	if h.unconfined != nil {
		cfg.Log.Warn("plugins run unconfined: they could reach the network", "reason", h.unconfined)
	}
	if cfg.Strict && len(problems) > 0 {
		h.Close(ctx)
		return nil, fmt.Errorf("cannot start the plugins: %w", errors.Join(problems...))
	}
	upkeep, stop := context.WithCancel(context.WithoutCancel(ctx))
	h.stop = stop
	h.done.Go(func() { h.upkeep(upkeep) })
	return h, nil
}

// add makes the pool of a declaration, without starting anything.
func (h *Host) add(declared Declaration) *Plugin {
	spec, err := declared.spec()
	typ, known := Type{}, false
	for _, one := range h.cfg.Types {
		if one.Name == declared.Type {
			typ, known = one, true
		}
	}
	if err == nil && !known {
		err = fmt.Errorf("its type %q is not one of %v", declared.Type, typeNames(h.cfg.Types))
	}
	if _, twice := h.plugins[declared.Name]; err == nil && twice {
		err = errors.New("its name is declared twice")
	}
	if err == nil && h.cfg.Strict && !declared.Network && h.unconfined != nil {
		err = fmt.Errorf("it cannot be kept off the network, which strictness demands: %w", h.unconfined)
	}
	spec.jail, spec.confinement = h.cfg.Jail, h.confinement
	plugin := newPlugin(spec, typ, h.cfg.TempDir, h.cfg.Log)
	plugin.refused = err
	if _, twice := h.plugins[declared.Name]; !twice {
		h.plugins[declared.Name] = plugin
	}
	h.order = append(h.order, plugin)
	return plugin
}

func typeNames(types []Type) []string {
	out := make([]string, 0, len(types))
	for _, one := range types {
		out = append(out, one.Name)
	}
	return out
}

// first starts the first process, so that what is wrong shows at the start and not at the first call.
func (p *Plugin) first(ctx context.Context) {
	if p.refused != nil {
		return
	}
	if proc, err := p.acquire(ctx); err == nil {
		p.mu.Lock()
		proc.idleSince = time.Now()
		p.idle = append(p.idle, proc)
		p.mu.Unlock()
		<-p.slots
	}
}

// upkeep starts what crashed while nobody called, and stops what is idle.
func (h *Host) upkeep(ctx context.Context) {
	ticker := time.NewTicker(10 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			for _, plugin := range h.order {
				plugin.shrink(now)
				if state := plugin.Status(); state.State == StateRestarting {
					plugin.first(ctx)
				}
			}
		}
	}
}

// Plugin by name; nil where none is declared.
func (h *Host) Plugin(name string) *Plugin { return h.plugins[name] }

// Plugins in the order of their declarations.
func (h *Host) Plugins() []*Plugin { return h.order }

// Spec that the plugin runs by.
func (p *Plugin) Spec() Spec { return p.spec }

// Version that the plugin says it has; "" until it answered once.
func (p *Plugin) Version() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.described.version
}

// TakesValues says whether the plugin takes values; true until it answered once, so that the call says what is wrong.
func (p *Plugin) TakesValues() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.described.takesValues || !p.described.known
}

// List is the state of all plugins.
func (h *Host) List() []Status {
	out := make([]Status, 0, len(h.order))
	for _, plugin := range h.order {
		out = append(out, plugin.Status())
	}
	return out
}

// Close refuses new calls, waits for those that are held until ctx ends, and stops every process.
func (h *Host) Close(ctx context.Context) {
	if h.stop != nil {
		h.stop()
	}
	var group sync.WaitGroup
	for _, plugin := range h.order {
		group.Go(func() { plugin.close(ctx) })
	}
	group.Wait()
	h.done.Wait()
}

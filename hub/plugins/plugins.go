// Package plugins puts the plugin host into the hub: it reads which plugins are declared, starts them beside the built-in
// ones, hands their renderers, decrypter and notifiers to the stages that use them, and publishes their state through the
// store, so that the api role shows it wherever it runs.
package plugins

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/periplus-fleet/periplus/hub/plugins/state"
	"github.com/periplus-fleet/periplus/plugins/host"
	"github.com/periplus-fleet/periplus/plugins/host/decrypters"
	"github.com/periplus-fleet/periplus/plugins/host/notifiers"
	"github.com/periplus-fleet/periplus/plugins/host/renderers"
	"github.com/periplus-fleet/periplus/plugins/renderer/manifests"
	"github.com/periplus-fleet/periplus/plugins/sdk/decrypter"
	"github.com/periplus-fleet/periplus/plugins/sdk/notifier"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// builtInMemory bounds a built-in's process: charts of the big projects need more than a small plugin.
const builtInMemory = 1 << 30

// drainPatience is how long calls may take after the stop.
const drainPatience = 10 * time.Second

// Config of the plugins.
type Config struct {
	// Command serves a built-in plugin when its name is appended: periplus-hub's own program and "plugin". Without it the
	// built-in renderers run in this process, which is for hubs that are a part of another program.
	Command []string
	// File declares external plugins and changes limits of built-in ones; "" declares none. Dir holds their programs.
	File, Dir string
	// Strict refuses to start with a plugin that is wrong or cannot be confined.
	Strict bool
	// TempDir for the processes' folders; "" is the system's.
	TempDir string
	// Store gets the state of the plugins; nil publishes none.
	Store state.Writer
	Log   *slog.Logger
}

// Plugins that run.
type Plugins struct {
	host *host.Host
	// inProcess are renderers that run here.
	inProcess []renderer.Renderer
	stop      context.CancelFunc
	done      sync.WaitGroup
	once      sync.Once
}

// Types of plugins that the hub knows.
func Types() []host.Type {
	return []host.Type{renderers.Type(), decrypters.Type(), notifiers.Type()}
}

// Start starts the plugins. A file that cannot be read is an error; a plugin that is wrong is refused and says why when it
// is called, unless Strict.
func Start(ctx context.Context, cfg Config) (*Plugins, error) {
	var declared []host.Declaration
	if cfg.File != "" {
		data, err := os.ReadFile(cfg.File)
		if err != nil {
			return nil, fmt.Errorf("cannot read the declared plugins: %w", err)
		}
		if declared, err = Parse(cfg.File, data); err != nil {
			return nil, err
		}
	}
	declarations, err := merge(cfg, declared)
	if err != nil {
		return nil, err
	}
	hosted := host.Config{Types: Types(), Strict: cfg.Strict, TempDir: cfg.TempDir, Log: cfg.Log}
	if len(cfg.Command) > 0 {
		hosted.Jail = append(slices.Clone(cfg.Command), jailName)
	}
	started, err := host.Start(ctx, hosted, declarations)
	if err != nil {
		return nil, err
	}
	for _, one := range started.List() {
		cfg.Log.Info("plugin", "name", one.Name, "type", one.Type, "version", one.Version, "typeVersion", one.TypeVersion, "source", one.Source, "state", one.State)
	}
	publishing, stop := context.WithCancel(context.WithoutCancel(ctx))
	p := &Plugins{host: started, inProcess: []renderer.Renderer{manifests.Renderer{}}, stop: stop}
	for _, one := range BuiltIn() {
		if len(cfg.Command) == 0 && one.renderer != nil {
			p.inProcess = append(p.inProcess, one.renderer())
		}
	}
	if cfg.Store != nil {
		p.done.Go(func() { state.Publish(publishing, cfg.Store, cfg.Log, started.List) })
	}
	return p, nil
}

// merge puts the built-in plugins first; a declaration without a path changes the limits of a built-in one.
func merge(cfg Config, declared []host.Declaration) ([]host.Declaration, error) {
	var out []host.Declaration
	for _, one := range BuiltIn() {
		declaration := host.Declaration{Name: one.Name, Type: one.Type, Memory: builtInMemory, Command: append(slices.Clone(cfg.Command), one.Name)}
		for _, changed := range declared {
			if changed.Name != one.Name {
				continue
			}
			if changed.Path != "" {
				return nil, fmt.Errorf("cannot declare the plugin %q: the hub has a built-in one of that name", one.Name)
			}
			changed.Type, changed.Command = declaration.Type, declaration.Command
			if changed.Memory == 0 {
				changed.Memory = declaration.Memory
			}
			declaration = changed
		}
		if one.reads != nil {
			declaration.Read = append(declaration.Read, one.reads(declaration.Config)...)
		}
		if len(cfg.Command) > 0 && (one.Always || declaration.Config != nil) {
			out = append(out, declaration)
		}
	}
	for _, one := range declared {
		if slices.ContainsFunc(BuiltIn(), func(b BuiltInPlugin) bool { return b.Name == one.Name }) {
			continue
		}
		if one.Name == (manifests.Renderer{}).Name() {
			return nil, fmt.Errorf("cannot declare the plugin %q: the hub itself renders by that name", one.Name)
		}
		one.Dir = cfg.Dir
		out = append(out, one)
	}
	return out, nil
}

// Renderers of all plugins, and those that run in this process: that of plain manifests always does.
func (p *Plugins) Renderers() []renderer.Renderer {
	out := slices.Clone(p.inProcess)
	for _, one := range p.of(renderers.Type()) {
		out = append(out, renderers.New(one))
	}
	return out
}

// Decrypter that opens files for bundles with decrypt: hub; nil where none is declared.
func (p *Plugins) Decrypter() decrypter.Decrypter {
	for _, one := range p.of(decrypters.Type()) {
		return decrypters.New(one)
	}
	return nil
}

// Notifiers that are declared.
func (p *Plugins) Notifiers() []notifier.Notifier {
	var out []notifier.Notifier
	for _, one := range p.of(notifiers.Type()) {
		out = append(out, notifiers.New(one))
	}
	return out
}

func (p *Plugins) of(typ host.Type) []*host.Plugin {
	var out []*host.Plugin
	for _, one := range p.host.Plugins() {
		if one.Spec().Type == typ.Name {
			out = append(out, one)
		}
	}
	return out
}

// List is the state of all plugins.
func (p *Plugins) List() []host.Status { return p.host.List() }

// Close lets held calls end, within some seconds, and stops all processes. It may be called more than once.
func (p *Plugins) Close() {
	p.once.Do(func() {
		patience, cancel := context.WithTimeout(context.Background(), drainPatience)
		defer cancel()
		p.host.Close(patience)
		p.stop()
		p.done.Wait()
	})
}

// Package renderers makes renderer.Renderer of the plugins of that type. A new version of the type is a new file here.
package renderers

import (
	"context"

	"github.com/periplus-fleet/periplus/plugins/host"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// Type is what the host knows of renderers.
func Type() host.Type {
	return host.Type{Name: "renderer", Versions: []host.Version{{Number: 1}}}
}

// facades by version of the type.
var facades = map[int32]func(context.Context, *host.Session, renderer.Request) (renderer.Result, error){1: renderV1}

// New is the renderer of a plugin.
func New(plugin *host.Plugin) renderer.Renderer { return &remote{plugin} }

type remote struct{ plugin *host.Plugin }

// Name of the declaration, by which bundles call it.
func (r *remote) Name() string { return r.plugin.Spec().Name }

// Version of a built-in is what it says of itself; that of an external one is also what it is made of.
func (r *remote) Version() string {
	if identity := r.plugin.Spec().Identity; identity != "" {
		return r.plugin.Version() + "+" + identity
	}
	return r.plugin.Version()
}

// TakesValues is what the plugin says.
func (r *remote) TakesValues() bool { return r.plugin.TakesValues() }

// Render hands the request to a process.
func (r *remote) Render(ctx context.Context, request renderer.Request) (renderer.Result, error) {
	var result renderer.Result
	err := r.plugin.Call(ctx, func(ctx context.Context, session *host.Session) (err error) {
		result, err = facades[session.Version](ctx, session, request)
		return err
	})
	return result, err
}

// Package notifiers makes notifier.Notifier of the plugins of that type. A new version of the type is a new file here.
package notifiers

import (
	"context"

	"github.com/periplus-fleet/periplus/plugins/host"
	"github.com/periplus-fleet/periplus/plugins/sdk/notifier"
)

// Type is what the host knows of notifiers.
func Type() host.Type {
	return host.Type{Name: "notifier", Versions: []host.Version{{Number: 1}}}
}

// facades by version of the type.
var facades = map[int32]func(context.Context, *host.Session, notifier.Event) error{1: notifyV1}

// New is the notifier of a plugin.
func New(plugin *host.Plugin) notifier.Notifier { return &remote{plugin} }

type remote struct{ plugin *host.Plugin }

// Name of the declaration.
func (r *remote) Name() string { return r.plugin.Spec().Name }

// Version is what the plugin says of itself.
func (r *remote) Version() string { return r.plugin.Version() }

// Notify hands the event to a process.
func (r *remote) Notify(ctx context.Context, event notifier.Event) error {
	return r.plugin.Call(ctx, func(ctx context.Context, session *host.Session) error {
		return facades[session.Version](ctx, session, event)
	})
}

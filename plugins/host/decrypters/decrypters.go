// Package decrypters makes decrypter.Decrypter of the plugins of that type. A new version of the type is a new file here.
package decrypters

import (
	"context"

	"github.com/periplus-fleet/periplus/plugins/host"
	"github.com/periplus-fleet/periplus/plugins/sdk/decrypter"
)

// Type is what the host knows of decrypters.
func Type() host.Type {
	return host.Type{Name: "decrypter", Versions: []host.Version{{Number: 1}}}
}

// facades by version of the type.
var facades = map[int32]func(context.Context, *host.Session, decrypter.Request) ([]byte, error){1: decryptV1}

// New is the decrypter of a plugin.
func New(plugin *host.Plugin) decrypter.Decrypter { return &remote{plugin} }

type remote struct{ plugin *host.Plugin }

// Name of the declaration.
func (r *remote) Name() string { return r.plugin.Spec().Name }

// Version is what the plugin says of itself.
func (r *remote) Version() string { return r.plugin.Version() }

// Decrypt hands the file to a process.
func (r *remote) Decrypt(ctx context.Context, request decrypter.Request) ([]byte, error) {
	var data []byte
	err := r.plugin.Call(ctx, func(ctx context.Context, session *host.Session) (err error) {
		data, err = facades[session.Version](ctx, session, request)
		return err
	})
	return data, err
}

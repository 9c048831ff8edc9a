// Package sdk is for authors of plugins: implement one of renderer.Renderer, decrypter.Decrypter and notifier.Notifier, and
// hand it to Serve.
//
//	func main() { sdk.Serve(sdk.Renderer(mine{})) }
//
// The hub starts the process, in a sandbox: an empty environment, a temporary folder of its own, bounded memory, no network
// unless the declaration asks for it. It stops the process when it is no longer needed. Package contract holds the tests
// that every plugin of a type must pass.
package sdk

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	pluginv1 "github.com/periplus-fleet/periplus/api/proto/periplus/plugin/v1"
	"github.com/periplus-fleet/periplus/plugins/internal/wire"
)

// Service is one version of one type that a plugin serves.
type Service struct {
	plugin      any
	name        string
	version     string
	typ         string
	typeVersion int32
	takesValues bool
	register    func(*grpc.Server, *host)
}

// Configurable is a plugin that reads the configuration of its declaration, which is nil where there is none. An error of it
// keeps the plugin from being used; say which field is wrong. A plugin that is not Configurable refuses any configuration.
type Configurable interface {
	Configure(config map[string]any) error
}

// Serve runs the plugin until the hub ends it. Several services make one plugin that speaks several types, or several
// versions of one; name and version are the first one's.
//
// Standard output belongs to the connection. slog's default logger goes to the hub's log, under the plugin's name.
func Serve(services ...Service) {
	if len(services) == 0 {
		fmt.Fprintln(os.Stderr, "cannot serve a plugin without a service")
		os.Exit(2)
	}
	if cookie := wire.Handshake(); os.Getenv(cookie.MagicCookieKey) != cookie.MagicCookieValue {
		fmt.Fprintf(os.Stderr, "%s %s is a plugin of periplus-hub, which starts it as its configuration says; see docs/how-to/write-a-plugin.md\n",
			services[0].name, services[0].version)
		os.Exit(2)
	}
	// Serve of go-plugin replaces os.Stderr; the logger keeps the real one, which the host reads.
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})))
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: wire.Handshake(),
		VersionedPlugins: map[int]goplugin.PluginSet{
			int(wire.Handshake().ProtocolVersion): {wire.PluginKey: &served{services: services}},
		},
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options, grpc.MaxRecvMsgSize(wire.MaxMessage), grpc.UnaryInterceptor(toStatus))...)
		},
		// What go-plugin says of itself is of no use in the hub's log.
		Logger: hclog.New(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Off}),
	})
}

// toStatus turns errors into statuses. A panic is left alone: the process is of no use after it, and the host names it.
func toStatus(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	answer, err := handle(ctx, request)
	return answer, wire.ToStatus(err)
}

// served is the plugin as go-plugin sees it.
type served struct {
	goplugin.NetRPCUnsupportedPlugin
	services []Service
}

// GRPCServer registers the services.
func (s *served) GRPCServer(broker *goplugin.GRPCBroker, server *grpc.Server) error {
	connection := &host{broker: broker}
	pluginv1.RegisterPluginServer(server, &described{services: s.services, host: connection})
	for _, service := range s.services {
		service.register(server, connection)
	}
	return nil
}

// GRPCClient is the host's side, which is not served here.
func (*served) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("cannot call a plugin from itself")
}

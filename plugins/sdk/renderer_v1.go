package sdk

import (
	"context"

	"google.golang.org/grpc"

	pluginv1 "github.com/periplus-fleet/periplus/api/proto/periplus/plugin/v1"
	"github.com/periplus-fleet/periplus/plugins/internal/wire"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// Renderer serves version 1 of the type renderer.
func Renderer(r renderer.Renderer) Service {
	return Service{plugin: r, name: r.Name(), version: r.Version(), typ: "renderer", typeVersion: 1, takesValues: r.TakesValues(),
		register: func(server *grpc.Server, host *host) {
			pluginv1.RegisterRendererServer(server, &rendererV1{renderer: r, host: host})
		}}
}

type rendererV1 struct {
	pluginv1.UnimplementedRendererServer
	renderer renderer.Renderer
	host     *host
}

// Render gives the request its trees.
func (s *rendererV1) Render(ctx context.Context, message *pluginv1.RenderRequest) (*pluginv1.RenderResponse, error) {
	request, err := wire.FromRenderRequest(message)
	if err != nil {
		return nil, err
	}
	if request.FS, err = s.host.tree(ctx, message.GetTree(), request.ContentID); err != nil {
		return nil, err
	}
	if message.GetChart() != 0 {
		if request.Chart, err = s.host.tree(ctx, message.GetChart(), request.ChartID); err != nil {
			return nil, err
		}
	}
	result, err := s.renderer.Render(ctx, request)
	if err != nil {
		return nil, err
	}
	return wire.ToRenderResponse(result)
}

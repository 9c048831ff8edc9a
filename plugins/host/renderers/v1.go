package renderers

import (
	"context"

	pluginv1 "github.com/periplus-fleet/periplus/api/proto/periplus/plugin/v1"
	"github.com/periplus-fleet/periplus/plugins/host"
	"github.com/periplus-fleet/periplus/plugins/internal/wire"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

func renderV1(ctx context.Context, session *host.Session, request renderer.Request) (renderer.Result, error) {
	message, err := wire.ToRenderRequest(request)
	if err != nil {
		return renderer.Result{}, err
	}
	message.Tree, message.Chart = session.Share(request.FS), session.Share(request.Chart)
	response, err := pluginv1.NewRendererClient(session.Conn).Render(ctx, message)
	if err != nil {
		return renderer.Result{}, err
	}
	return wire.FromRenderResponse(response)
}

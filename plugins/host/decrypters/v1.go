package decrypters

import (
	"context"

	pluginv1 "github.com/periplus-fleet/periplus/api/proto/periplus/plugin/v1"
	"github.com/periplus-fleet/periplus/plugins/host"
	"github.com/periplus-fleet/periplus/plugins/sdk/decrypter"
)

func decryptV1(ctx context.Context, session *host.Session, request decrypter.Request) ([]byte, error) {
	response, err := pluginv1.NewDecrypterClient(session.Conn).Decrypt(ctx,
		&pluginv1.DecryptRequest{Path: request.Path, Format: request.Format, Data: request.Data})
	return response.GetData(), err
}

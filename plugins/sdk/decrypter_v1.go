package sdk

import (
	"context"

	"google.golang.org/grpc"

	pluginv1 "github.com/periplus-fleet/periplus/api/proto/periplus/plugin/v1"
	"github.com/periplus-fleet/periplus/plugins/sdk/decrypter"
)

// Decrypter serves version 1 of the type decrypter.
func Decrypter(d decrypter.Decrypter) Service {
	return Service{plugin: d, name: d.Name(), version: d.Version(), typ: "decrypter", typeVersion: 1,
		register: func(server *grpc.Server, _ *host) {
			pluginv1.RegisterDecrypterServer(server, &decrypterV1{decrypter: d})
		}}
}

type decrypterV1 struct {
	pluginv1.UnimplementedDecrypterServer
	decrypter decrypter.Decrypter
}

// Decrypt opens one file.
func (s *decrypterV1) Decrypt(ctx context.Context, message *pluginv1.DecryptRequest) (*pluginv1.DecryptResponse, error) {
	data, err := s.decrypter.Decrypt(ctx, decrypter.Request{Path: message.GetPath(), Format: message.GetFormat(), Data: message.GetData()})
	if err != nil {
		return nil, err
	}
	return &pluginv1.DecryptResponse{Data: data}, nil
}

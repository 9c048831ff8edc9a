package sdk

import (
	"context"

	"google.golang.org/grpc"

	pluginv1 "github.com/periplus-fleet/periplus/api/proto/periplus/plugin/v1"
	"github.com/periplus-fleet/periplus/plugins/sdk/notifier"
)

// Notifier serves version 1 of the type notifier.
func Notifier(n notifier.Notifier) Service {
	return Service{plugin: n, name: n.Name(), version: n.Version(), typ: "notifier", typeVersion: 1,
		register: func(server *grpc.Server, _ *host) { pluginv1.RegisterNotifierServer(server, &notifierV1{notifier: n}) }}
}

type notifierV1 struct {
	pluginv1.UnimplementedNotifierServer
	notifier notifier.Notifier
}

// Notify delivers one event.
func (s *notifierV1) Notify(ctx context.Context, m *pluginv1.NotifyRequest) (*pluginv1.NotifyResponse, error) {
	return &pluginv1.NotifyResponse{}, s.notifier.Notify(ctx, notifier.Event{ID: m.GetId(), Time: m.GetTime().AsTime(), Type: m.GetType(),
		Namespace: m.GetNamespace(), Cluster: m.GetCluster(), Bundle: m.GetBundle(), From: m.GetFrom(), To: m.GetTo(),
		Commit: m.GetCommit(), Actor: m.GetActor(), Message: m.GetMessage()})
}

package notifiers

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/periplus-fleet/periplus/api/proto/periplus/plugin/v1"
	"github.com/periplus-fleet/periplus/plugins/host"
	"github.com/periplus-fleet/periplus/plugins/sdk/notifier"
)

func notifyV1(ctx context.Context, session *host.Session, e notifier.Event) error {
	_, err := pluginv1.NewNotifierClient(session.Conn).Notify(ctx, &pluginv1.NotifyRequest{Id: e.ID, Time: timestamppb.New(e.Time), Type: e.Type,
		Namespace: e.Namespace, Cluster: e.Cluster, Bundle: e.Bundle, From: e.From, To: e.To, Commit: e.Commit, Actor: e.Actor, Message: e.Message})
	return err
}

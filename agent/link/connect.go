package link

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// connectLoop keeps one stream open: endpoints in order, with back-off and jitter between rounds.
func (c *Client) connectLoop(ctx context.Context) {
	wait := c.config.MinBackoff
	for ctx.Err() == nil {
		pause := wait
		wait = min(wait*2, c.config.MaxBackoff)
		endpoints := c.config.Identity.Endpoints()
		if len(endpoints) == 0 {
			c.config.Log.Warn("cannot connect to the hub", "error", errNoEndpoint)
		}
		for _, endpoint := range endpoints {
			welcome, err := c.serve(ctx, endpoint)
			if ctx.Err() != nil {
				return
			}
			c.config.Log.Warn("the stream to the hub ended", "endpoint", endpoint, "error", err)
			if welcome != nil {
				// It worked: all agents come again at once after a hub's restart, each waits its own part.
				wait = c.config.MinBackoff
				pause = welcome.GetReconnectJitter().AsDuration()
				break
			}
			if code := status.Code(err); code == codes.PermissionDenied || code == codes.Unauthenticated {
				if err := c.config.Identity.Rejected(ctx); err != nil && ctx.Err() == nil {
					c.config.Log.Error("the hub does not let this agent in", "error", err)
				} else if err == nil {
					pause = c.config.MinBackoff
				}
				break
			}
		}
		timer := time.NewTimer(time.Duration(float64(pause) * rand.Float64()))
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// serve opens a stream and reads it until it ends; welcome is what the hub said on it, nil when it did not get that far.
func (c *Client) serve(ctx context.Context, endpoint string) (welcome *linkv1.Welcome, err error) {
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(credentials.NewTLS(c.config.Identity.TLS())),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceive)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	client := linkv1.NewLinkClient(conn)
	grpcStream, err := client.Connect(ctx)
	if err != nil {
		return nil, err
	}
	st := &stream{endpoint: endpoint, client: client, grpc: grpcStream, cancel: cancel}
	c.post(func(ctx context.Context) { c.opened(ctx, st) })
	defer c.post(func(context.Context) { c.closed(st) })
	for {
		message, err := grpcStream.Recv()
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return st.said.Load(), err
		}
		if query := message.GetQuery(); query != nil && c.config.Queries != nil {
			go c.answer(ctx, st, query)
			continue
		}
		c.post(func(ctx context.Context) {
			if c.stream == st {
				c.carryOut(ctx, c.machine.Receive(message))
			}
		})
	}
}

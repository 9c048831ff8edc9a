package link

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// Queries answers what people ask about the cluster.
type Queries interface {
	// Answer gives the parts of an answer to send, which blocks while the hub does not take them and fails when nobody waits
	// any more. It returns nil for the end, or why there is none (no more) of the answer.
	Answer(ctx context.Context, query *linkv1.Query, send func(*linkv1.QueryResult) error) *linkv1.QueryError
}

// queriesTogether is how many queries are answered at once; who asks more is told to come again.
const queriesTogether = 4

// answer works on one query, on a stream of its own: however long the answer is, it delays no state message.
func (c *Client) answer(ctx context.Context, st *stream, query *linkv1.Query) {
	if deadline := query.GetDeadline(); deadline != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.AsTime())
		defer cancel()
	}
	stream, err := st.client.Answer(ctx)
	if err != nil {
		c.config.Log.Warn("cannot answer a query", "actor", query.GetActor(), "error", err)
		return
	}
	// The context of the call ends with it, be it by the hub: then the work ends too.
	ctx = stream.Context()
	send := func(part *linkv1.QueryResult) error {
		part.Id = query.GetId()
		return stream.Send(part)
	}
	var failure *linkv1.QueryError
	select {
	case c.answering <- struct{}{}:
		// The hub learns at once that the answer comes, and can end it.
		if err := send(&linkv1.QueryResult{}); err != nil {
			<-c.answering
			return
		}
		failure = c.config.Queries.Answer(ctx, query, send)
		<-c.answering
	default:
		failure = &linkv1.QueryError{Code: "unavailable", Message: "the agent answers as many queries as it may: come again in a while"}
	}
	if err := finish(stream, query.GetId(), failure); err != nil && ctx.Err() == nil {
		c.config.Log.Warn("cannot answer a query", "actor", query.GetActor(), "error", err)
	}
}

func finish(stream grpc.ClientStreamingClient[linkv1.QueryResult, linkv1.AnswerEnd], id string, failure *linkv1.QueryError) error {
	if err := stream.Send(&linkv1.QueryResult{Id: id, Last: true, Error: failure}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_, err := stream.CloseAndRecv()
	return err
}

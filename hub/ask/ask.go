// Package ask brings a question of the status API to the agent that can answer it: straight, where this process has the
// cluster's stream, else through the store, from which the process that has it takes the question and to which it writes the
// answer, encrypted and part after part. It stands between hub/statusapi and hub/link.
package ask

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/link"
	"github.com/periplus-fleet/periplus/hub/store"
)

// ErrOffline says that no process has a stream of the cluster's agent.
var ErrOffline = errors.New("the cluster's agent is not connected")

const (
	// poll is how often the store is looked at for questions and answers.
	poll = 200 * time.Millisecond
	// patience is how long a question may wait to be taken: a process that has the stream takes it at its next look.
	patience = 5 * time.Second
)

// Streams are the agents' streams of this process.
type Streams interface {
	Ask(ctx context.Context, uid string, query *linkv1.Query, take func(*linkv1.QueryResult) error) error
	Has(uid string) bool
}

// Router asks. Its zero value, but for Store, is of a process without the link role.
type Router struct {
	Store   *store.Store
	Process string
	Log     *slog.Logger
	streams atomic.Pointer[Streams]
}

// Serve makes the streams of this process known, and answers the questions of other processes about them until ctx ends.
func (r *Router) Serve(ctx context.Context, streams Streams) {
	r.streams.Store(&streams)
	if !r.Store.Shared() {
		return
	}
	var answering sync.WaitGroup
	defer answering.Wait()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		taken, err := r.Store.TakeQueries(ctx, r.Process, streams.Has)
		if err != nil && ctx.Err() == nil {
			r.Log.Warn("cannot look for questions", "error", err)
		}
		for uid, queries := range taken {
			for _, query := range queries {
				answering.Go(func() { r.relay(ctx, streams, uid, query) })
			}
		}
	}
}

// relay puts another process's question to the agent and writes the answer down.
func (r *Router) relay(ctx context.Context, streams Streams, uid string, query *linkv1.Query) {
	ctx, cancel := context.WithDeadline(ctx, query.GetDeadline().AsTime())
	defer cancel()
	part, last := 0, false
	put := func(result *linkv1.QueryResult) error {
		last = result.GetLast()
		part++
		return r.Store.PutAnswer(ctx, query.GetId(), part, result)
	}
	go func() {
		// Somebody who waits no more takes the question away.
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if _, _, _, err := r.Store.TakeAnswer(ctx, query.GetId(), -1); errors.Is(err, store.ErrNotFound) {
					cancel()
				}
			}
		}
	}()
	err := streams.Ask(ctx, uid, query, put)
	if err != nil && !last && ctx.Err() == nil {
		_ = put(&linkv1.QueryResult{Id: query.GetId(), Last: true, Error: &linkv1.QueryError{Code: "unavailable", Message: err.Error()}})
	}
}

// Ask puts a query, which has an id and a deadline, to a cluster's agent, and hands the answer to take, part after part. It
// returns when the last part was taken. ErrOffline says that the agent cannot be asked.
func (r *Router) Ask(ctx context.Context, uid string, query *linkv1.Query, take func(*linkv1.QueryResult) error) error {
	ctx, cancel := context.WithDeadline(ctx, query.GetDeadline().AsTime())
	defer cancel()
	if streams := r.streams.Load(); streams != nil {
		err := (*streams).Ask(ctx, uid, query, take)
		if !errors.Is(err, link.ErrNotConnected) {
			return err
		}
	}
	if !r.Store.Shared() {
		return ErrOffline
	}
	cluster, err := r.Store.Cluster(ctx, uid)
	if err != nil {
		return err
	}
	if !cluster.Connected {
		return ErrOffline
	}
	return r.through(ctx, uid, query, take)
}

// through asks by way of the store.
func (r *Router) through(ctx context.Context, uid string, query *linkv1.Query, take func(*linkv1.QueryResult) error) error {
	if err := r.Store.PutQuery(ctx, uid, query); err != nil {
		return fmt.Errorf("cannot leave a question for cluster %q: %w", uid, err)
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		if err := r.Store.EndQuery(ending, query.GetId()); err != nil {
			r.Log.Warn("cannot take a question back", "error", err)
		}
	}()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	asked := time.Now()
	for part := 1; ; {
		result, taken, ok, err := r.Store.TakeAnswer(ctx, query.GetId(), part)
		switch {
		case err != nil:
			return err
		case ok:
			part++
			if err := take(result); err != nil || result.GetLast() {
				return err
			}
			continue
		case !taken && time.Since(asked) > patience:
			return ErrOffline
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

package link

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	hublink "github.com/periplus-fleet/periplus/hub/link"
)

// answers is an agent that tells numbers: as many as the query's limit, without end where it is negative.
type answers struct {
	working atomic.Int64
	sent    atomic.Int64
}

func (a *answers) Answer(ctx context.Context, query *linkv1.Query, send func(*linkv1.QueryResult) error) *linkv1.QueryError {
	a.working.Add(1)
	defer a.working.Add(-1)
	limit := query.GetEvents().GetLimit()
	if limit == 0 {
		return &linkv1.QueryError{Code: "disabled", Message: "no"}
	}
	for i := int32(1); limit < 0 || i <= limit; i++ {
		if err := send(&linkv1.QueryResult{Events: []*linkv1.ClusterEvent{{Count: i, Message: fmt.Sprintf("%010000d", i)}}}); err != nil {
			return nil
		}
		a.sent.Add(1)
	}
	return nil
}

func eventsQuery(id string, limit int32) *linkv1.Query {
	return &linkv1.Query{Id: id, Deadline: timestamppb.New(time.Now().Add(patience)), Query: &linkv1.Query_Events{Events: &linkv1.EventsQuery{Limit: limit}}}
}

func TestQueries(t *testing.T) {
	f := newFleet(t)
	f.capabilities = []string{"queries.v1"}
	hub := f.startHub("a", "")
	stop := f.startAgent("one", hub.address)
	defer stop()
	f.eventually("connect", func() bool { return f.connected(uid) })

	t.Run("Whole", func(t *testing.T) {
		count, last := 0, false
		err := hub.service.Ask(t.Context(), uid, eventsQuery("whole", 200), func(part *linkv1.QueryResult) error {
			count += len(part.GetEvents())
			last = part.GetLast()
			return nil
		})
		if err != nil || count != 200 || !last {
			t.Errorf("%d parts, last %t, %v", count, last, err)
		}
	})
	t.Run("Refused", func(t *testing.T) {
		var failure *linkv1.QueryError
		err := hub.service.Ask(t.Context(), uid, eventsQuery("refused", 0), func(part *linkv1.QueryResult) error {
			failure = part.GetError()
			return nil
		})
		if err != nil || failure.GetCode() != "disabled" {
			t.Errorf("%v, %v", failure, err)
		}
	})
	t.Run("NobodyWaits", func(t *testing.T) {
		enough := errors.New("enough")
		err := hub.service.Ask(t.Context(), uid, eventsQuery("endless", -1), func(part *linkv1.QueryResult) error {
			if len(part.GetEvents()) > 0 {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Error(err)
		}
		f.eventually("the agent stops working", func() bool { return f.answers.working.Load() == 0 })
	})
	t.Run("SlowReader", func(t *testing.T) {
		// Who reads slowly holds up the agent's answer, and no state.
		reading, read := make(chan struct{}), make(chan struct{})
		before := f.answers.sent.Load()
		done := make(chan error, 1)
		go func() {
			first := true
			done <- hub.service.Ask(t.Context(), uid, eventsQuery("slow", 2000), func(*linkv1.QueryResult) error {
				if first {
					first = false
					close(reading)
					<-read
				}
				return nil
			})
		}()
		<-reading
		revision := f.assign("fleet/web", "while somebody reads")
		f.running("fleet/web", revision)
		if sent := f.answers.sent.Load() - before; sent == 2000 {
			t.Errorf("the agent sent all of the answer to a reader that takes nothing")
		}
		close(read)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Run("OtherCluster", func(t *testing.T) {
		if err := hub.service.Ask(t.Context(), "other", eventsQuery("other", 1), nil); !errors.Is(err, hublink.ErrNotConnected) {
			t.Errorf("got %v", err)
		}
	})
}

func TestQueriesOfAnOldAgent(t *testing.T) {
	f := newFleet(t)
	hub := f.startHub("a", "")
	stop := f.startAgent("one", hub.address)
	defer stop()
	f.eventually("connect", func() bool { return f.connected(uid) })
	if err := hub.service.Ask(t.Context(), uid, eventsQuery("q", 1), nil); !errors.Is(err, hublink.ErrCannotAnswer) {
		t.Errorf("got %v", err)
	}
}

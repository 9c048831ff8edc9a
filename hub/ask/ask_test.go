package ask_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/ask"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/link"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/store/storetest"
)

const uid = "u1"

// streams answer with as many parts as the query's limit; without end where it is negative.
type streams struct {
	connected bool
	mu        sync.Mutex
	ended     int
}

func (s *streams) Has(string) bool { return s.connected }

func (s *streams) Ask(ctx context.Context, _ string, query *linkv1.Query, take func(*linkv1.QueryResult) error) error {
	if !s.connected {
		return link.ErrNotConnected
	}
	defer func() {
		s.mu.Lock()
		s.ended++
		s.mu.Unlock()
	}()
	limit := query.GetEvents().GetLimit()
	for i := int32(1); limit < 0 || i <= limit; i++ {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := take(&linkv1.QueryResult{Id: query.GetId(), Last: i == limit, Events: []*linkv1.ClusterEvent{{Count: i, Message: "secret-of-the-log"}}}); err != nil {
			return err
		}
	}
	if limit == 0 {
		return errors.New("broken off")
	}
	return nil
}

func query(id string, limit int32) *linkv1.Query {
	return &linkv1.Query{Id: id, Deadline: timestamppb.New(time.Now().Add(20 * time.Second)), Query: &linkv1.Query_Events{Events: &linkv1.EventsQuery{Limit: limit}}}
}

// world is two processes on one store: a serves people, b has the cluster's stream.
type world struct {
	a, b    *ask.Router
	streams *streams
}

func newWorld(t *testing.T, open func() *store.Store) *world {
	t.Helper()
	first, second := open(), open()
	ctx := t.Context()
	term, _, err := first.Lead(ctx, "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.UpsertClusters(ctx, term, []delivery.Cluster{{UID: uid, Namespace: "fleet", Name: "c1"}}); err != nil {
		t.Fatal(err)
	}
	w := &world{a: &ask.Router{Store: first, Process: "a", Log: slog.New(slog.DiscardHandler)},
		b: &ask.Router{Store: second, Process: "b", Log: slog.New(slog.DiscardHandler)}, streams: &streams{connected: true}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.a.Serve(ctx, &streams{}) })
	running.Go(func() { w.b.Serve(ctx, w.streams) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return w
}

func TestAskThroughTheStore(t *testing.T) {
	// SQLite has one process, which asks itself.
	url := storetest.Postgres(t)
	w := newWorld(t, func() *store.Store {
		return storetest.Open(t, store.Config{URL: url, Key: make([]byte, store.KeySize)})
	})
	if err := w.a.Ask(t.Context(), uid, query("away", 1), nil); !errors.Is(err, ask.ErrOffline) {
		t.Errorf("a cluster that never connected: got %v", err)
	}
	if _, err := w.b.Store.ClaimSession(t.Context(), uid, "b", "i"); err != nil {
		t.Fatal(err)
	}
	var counts []int32
	err := w.a.Ask(t.Context(), uid, query("whole", 100), func(part *linkv1.QueryResult) error {
		counts = append(counts, part.GetEvents()[0].GetCount())
		return nil
	})
	if err != nil || len(counts) != 100 || counts[0] != 1 || counts[99] != 100 {
		t.Errorf("%v, %v", counts, err)
	}
	var failure *linkv1.QueryError
	err = w.a.Ask(t.Context(), uid, query("broken", 0), func(part *linkv1.QueryResult) error {
		failure = part.GetError()
		return nil
	})
	if err != nil || failure.GetMessage() != "broken off" {
		t.Errorf("%v, %v", failure, err)
	}
	enough := errors.New("enough")
	if err := w.a.Ask(t.Context(), uid, query("endless", -1), func(*linkv1.QueryResult) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
	// Who has the stream learns that nobody waits, and nothing is left behind.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		w.streams.mu.Lock()
		ended := w.streams.ended
		w.streams.mu.Unlock()
		_, _, _, err := w.a.Store.TakeAnswer(t.Context(), "endless", 1)
		if ended == 3 && errors.Is(err, store.ErrNotFound) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d answers ended, %v", ended, err)
		}
	}
}

func TestAskHere(t *testing.T) {
	w := newWorld(t, func() *store.Store { return storetest.New(t) })
	parts := 0
	take := func(*linkv1.QueryResult) error { parts++; return nil }
	err := ask.ErrOffline
	for deadline := time.Now().Add(10 * time.Second); errors.Is(err, ask.ErrOffline) && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		// Its streams are known a moment after it began.
		err = w.b.Ask(t.Context(), uid, query("here", 5), take)
	}
	if err != nil || parts != 5 {
		t.Errorf("%d parts, %v", parts, err)
	}
	if err := w.a.Ask(t.Context(), uid, query("nowhere", 5), take); !errors.Is(err, ask.ErrOffline) {
		t.Errorf("got %v", err)
	}
}

package store_test

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/store"
)

func TestQueriesOfADeadProcessGo(t *testing.T) {
	each(t, func(w *world) {
		answerer := w.another()
		has := func(string) bool { return true }
		w.clusters("a")
		ask := func(id string) {
			w.must(w.PutQuery(w.ctx(), "uid-a", &linkv1.Query{Id: id, Deadline: timestamppb.New(w.now().Add(time.Minute))}))
			taken, err := answerer.TakeQueries(w.ctx(), "two", has)
			w.must(err)
			if len(taken["uid-a"]) != 1 {
				t.Fatalf("query %q is not taken", id)
			}
			w.must(answerer.PutAnswer(w.ctx(), id, 0, &linkv1.QueryResult{}))
		}
		ask("left")
		// Whoever asked is still within its time, or a little late: it reads its answer.
		for _, wait := range []time.Duration{50 * time.Second, 30 * time.Second} {
			w.pass(wait)
			if _, err := answerer.TakeQueries(w.ctx(), "two", has); err != nil {
				t.Fatal(err)
			}
			if _, taken, _, err := w.TakeAnswer(w.ctx(), "left", 1); err != nil || !taken {
				t.Errorf("the query is gone before its asker can be done: %v", err)
			}
		}
		// It died: nobody reads the answer any more.
		w.pass(time.Minute)
		ask("next")
		if _, _, _, err := w.TakeAnswer(w.ctx(), "left", 0); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the answer that nobody reads stays: %v", err)
		}
		if err := answerer.PutAnswer(w.ctx(), "left", 1, &linkv1.QueryResult{}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the answering goes on: %v", err)
		}
		if _, _, ok, err := w.TakeAnswer(w.ctx(), "next", 0); err != nil || !ok {
			t.Errorf("another query went with it: %v", err)
		}
	})
}

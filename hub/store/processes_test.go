package store_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/store/storetest"
)

// hinted waits until a process is hinted at a cluster. A listener may just be connecting, so what hints is done again.
func (w *world) hinted(s *store.Store, uid string, hint func()) {
	w.Helper()
	deadline := time.After(time.Minute)
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for hint(); ; {
		select {
		case got := <-s.Hints():
			if got == uid {
				return
			}
		case <-again.C:
			hint()
		case <-deadline:
			w.Fatal("no hint came")
		}
	}
}

func drain(s *store.Store) {
	for {
		select {
		case <-s.Hints():
		default:
			return
		}
	}
}

func TestHintsCrossProcesses(t *testing.T) {
	w := newWorld(t, storetest.Postgres(t))
	other := w.another()
	w.clusters("a", "b")
	i := 0
	move := func() {
		i++
		w.apply(assign("a", "fleet/x", w.revision(fmt.Sprint(i))))
	}
	w.hinted(other, "uid-a", move)
	w.hinted(w.Store, "uid-a", move)
	w.hinted(other, "uid-b", func() {
		i++
		w.must(other.PutCommand(w.ctx(), "uid-b", &linkv1.Command{Id: fmt.Sprint("c", i)}))
	})

	// The other's listener dies; what is told meanwhile is lost, and found all the same.
	sent := w.desired("a").Position.Generation
	conn, err := pgx.Connect(w.ctx(), w.url)
	w.must(err)
	defer conn.Close(w.ctx())
	_, err = conn.Exec(w.ctx(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid() AND datname = current_database()")
	w.must(err)
	drain(other)
	move()
	moved, err := other.Moved(w.ctx(), map[string]uint64{"uid-a": sent, "uid-b": 1})
	if err != nil || !slices.Equal(moved, []string{"uid-a"}) {
		t.Error("a lost hint is not found:", moved, err)
	}
	w.hinted(other, "uid-a", move)
}

func TestProcessesThatStartAtOnceAgree(t *testing.T) {
	url := storetest.Postgres(t)
	fleets := make(chan string, 4)
	var group sync.WaitGroup
	for range cap(fleets) {
		group.Go(func() {
			s, err := store.Open(context.Background(), store.Config{URL: url, Key: storetest.Key})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			meta, err := s.Meta(context.Background())
			if err != nil {
				t.Error(err)
			}
			fleets <- meta.FleetID + meta.Epoch
		})
	}
	group.Wait()
	close(fleets)
	first := <-fleets
	for fleet := range fleets {
		if fleet != first {
			t.Error("two processes made two fleets in one database")
		}
	}
}

func TestMovedIsTrueWithoutHints(t *testing.T) {
	each(t, func(w *world) {
		sent := map[string]uint64{}
		var names []string
		for i := range 1200 {
			names = append(names, fmt.Sprintf("c%04d", i))
			sent["uid-"+names[i]] = 1
		}
		w.clusters(names...)
		if moved, err := w.Moved(w.ctx(), sent); err != nil || len(moved) != 0 {
			w.Error("moved without a change:", moved, err)
		}
		w.apply(assign("c0007", "fleet/x", "sha256:1"), assign("c1100", "fleet/x", "sha256:1"))
		moved, err := w.Moved(w.ctx(), sent)
		slices.Sort(moved)
		if err != nil || !slices.Equal(moved, []string{"uid-c0007", "uid-c1100"}) {
			w.Error(moved, err)
		}
	})
}

func numberedRevision(process, i int) content.Digest {
	return content.Sum(fmt.Append(nil, process, i))
}

// TestConcurrentWrites lets two processes do everything at once to the same clusters: nothing may fail, wait for itself in a
// ring, or leave a set whose hash is not its own.
func TestConcurrentWrites(t *testing.T) {
	const rounds = 15
	each(t, func(w *world) {
		clusters := []string{"a", "b", "c"}
		w.clusters(clusters...)
		ctx := context.Background()
		var group sync.WaitGroup
		run := func(what string, do func(i int) error) {
			group.Go(func() {
				for i := range rounds {
					if err := do(i); err != nil {
						w.Errorf("%s: %v", what, err)
						return
					}
				}
			})
		}
		for n, s := range []*store.Store{w.Store, w.another()} {
			for _, bundle := range []string{"x", "y"} {
				key := delivery.Key(fmt.Sprint("fleet/", bundle, n))
				run("apply", func(i int) error {
					var changes []store.Change
					for _, cluster := range clusters {
						change := assign(cluster, "fleet/shared", numberedRevision(n, i))
						own := assign(cluster, key, numberedRevision(n, i))
						if i%3 == 2 {
							own = leave(cluster, key)
						} else {
							own.ClearTombstone = true
						}
						changes = append(changes, change, own)
					}
					return s.Apply(ctx, w.term, changes)
				})
			}
			for _, cluster := range clusters {
				run("report", func(i int) error {
					session, err := s.ClaimSession(ctx, "uid-"+cluster, "p", "i")
					if err != nil {
						return err
					}
					_, err = s.Report(ctx, "uid-"+cluster, session, 1, &linkv1.StatusReport{Full: true, Removed: []string{"fleet/x0"},
						Bundles: []*linkv1.BundleStatus{status("fleet/shared", numberedRevision(n, i), linkv1.State_STATE_READY)}})
					return err
				})
			}
			run("touch", func(i int) error {
				w.pass(time.Second)
				return s.Touch(ctx, map[string]time.Time{"uid-a": w.now(), "uid-b": w.now(), "uid-c": w.now()})
			})
			run("lead", func(int) error {
				_, _, err := s.Lead(ctx, "one", time.Hour)
				return err
			})
		}
		run("epoch", func(i int) error {
			_, err := w.NewEpoch(ctx)
			return err
		})
		run("remove", func(i int) error {
			return w.RemoveCluster(ctx, w.term, "uid-gone")
		})
		group.Wait()
		w.consistent()
	})
}

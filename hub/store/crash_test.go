package store_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/store/storetest"
)

// crashURL tells a child process of the test which database it writes to until it is killed.
const crashURL = "PERIPLUS_CRASH_URL"

var crashClusters = []string{"a", "b", "c"}

// TestCrashes kills a hub process at random moments while it records numbered reports. Whatever it acknowledged must be
// there, and whatever is there must be there once, with its history.
func TestCrashes(t *testing.T) {
	if testing.Short() {
		t.Skip("kills writers for a while: not with -short")
	}
	rounds := 20
	if os.Getenv("REQUIRE_ALL") == "1" {
		rounds = 200
	}
	if text := os.Getenv("PERIPLUS_CRASHES"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	storetest.EachURL(t, func(t *testing.T, url string) {
		if strings.HasPrefix(url, "postgres") {
			storetest.Durable(t)
		}
		w := newWorld(t, url)
		w.clusters(crashClusters...)
		for _, cluster := range crashClusters {
			w.apply(assign(cluster, "fleet/x", "sha256:1"))
		}
		w.must(w.Store.Close())
		acknowledged := 0
		for range rounds {
			acked := w.crash()
			s, err := store.Open(w.ctx(), store.Config{URL: url, Key: storetest.Key})
			w.must(err)
			for _, cluster := range crashClusters {
				acknowledged += acked[cluster]
				w.survived(s, cluster, acked[cluster])
			}
			w.must(s.Close())
			if t.Failed() {
				return
			}
		}
		t.Logf("%d crashes, %d reports acknowledged", rounds, acknowledged)
		if acknowledged < rounds {
			t.Error("the writer came to write hardly anything")
		}
		w.Store = w.another()
	})
}

// crash runs a writer, kills it, and returns the last sequence that it acknowledged for each cluster.
func (w *world) crash() map[string]int {
	w.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashURL+"="+w.url)
	child.Stderr = os.Stderr
	pipe, err := child.StdoutPipe()
	w.must(err)
	w.must(child.Start())
	acked := map[string]int{}
	lines := bufio.NewScanner(pipe)
	read := func() bool {
		if !lines.Scan() {
			return false
		}
		var cluster string
		var sequence int
		if _, err := fmt.Sscanf(lines.Text(), "acknowledged %s %d", &cluster, &sequence); err != nil {
			w.Errorf("the writer says %q", lines.Text())
			return false
		}
		acked[cluster] = sequence
		return true
	}
	// Most die while they write, some while they start.
	if rand.IntN(8) > 0 {
		read()
	}
	time.AfterFunc(rand.N(60*time.Millisecond), func() { _ = child.Process.Kill() })
	for read() {
	}
	if err := child.Wait(); err == nil {
		w.Error("the writer ended before it was killed")
	}
	return acked
}

// survived compares what is recorded of a cluster with what its killed writer acknowledged.
func (w *world) survived(s *store.Store, cluster string, acked int) {
	w.Helper()
	// Taking the session over waits for what the killed process had under way, and makes whatever comes later nothing.
	taken, err := s.ClaimSession(w.ctx(), "uid-"+cluster, "process", uuid.NewString())
	w.must(err)
	session := int(taken) - 1
	found, err := s.Deliveries(w.ctx(), store.DeliveryFilter{ClusterUID: "uid-" + cluster})
	w.must(err)
	recorded := 0
	if of, sequence := numbered(found[0].Observed.Message); of == session {
		recorded = sequence
	}
	if recorded < acked || recorded > acked+1 {
		w.Errorf("cluster %s: report %d is recorded, %d was acknowledged last", cluster, recorded, acked)
	}
	times := map[int]int{}
	for cursor := ""; ; {
		page, err := s.ListHistory(w.ctx(), store.Query{Namespaces: []string{"fleet"}, Filter: map[string]string{"cluster": cluster}, Cursor: cursor})
		w.must(err)
		cursor = page.Next
		for _, event := range page.Items {
			_, text, _ := strings.Cut(event.Message, ": ")
			of, sequence := numbered(text)
			if of == session {
				times[sequence]++
				continue
			}
			cursor = ""
		}
		if cursor == "" {
			break
		}
	}
	for sequence := 1; sequence <= recorded; sequence++ {
		if times[sequence] != 1 {
			w.Errorf("cluster %s: report %d stands %d times in history", cluster, sequence, times[sequence])
		}
	}
	if len(times) > recorded {
		w.Errorf("cluster %s: history tells of %d reports, and %d are recorded", cluster, len(times), recorded)
	}
}

func numbered(text string) (session, sequence int) {
	if _, err := fmt.Sscanf(text, "%d/%d", &session, &sequence); err != nil {
		return 0, 0
	}
	return session, sequence
}

// TestMain is the writer's process too.
func TestMain(m *testing.M) {
	if url := os.Getenv(crashURL); url != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(context.Background(), url))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func writeUntilKilled(ctx context.Context, url string) error {
	s, err := store.Open(ctx, store.Config{URL: url, Key: storetest.Key})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for _, cluster := range crashClusters {
		go func() { failed <- writeReports(ctx, s, cluster) }()
	}
	return <-failed
}

func writeReports(ctx context.Context, s *store.Store, cluster string) error {
	session, err := s.ClaimSession(ctx, "uid-"+cluster, "process", uuid.NewString())
	if err != nil {
		return err
	}
	for sequence := uint64(1); ; sequence++ {
		status := status("fleet/x", "sha256:1", linkv1.State_STATE_PROGRESSING)
		status.Message = fmt.Sprintf("%d/%d", session, sequence)
		status.Events = []*linkv1.ObjectEvent{{Id: &linkv1.ObjectId{Kind: "ConfigMap", Name: "c"}, Type: "pruned", Message: status.Message}}
		applied, err := s.Report(ctx, "uid-"+cluster, session, sequence, &linkv1.StatusReport{Bundles: []*linkv1.BundleStatus{status}})
		if err != nil || !applied {
			return fmt.Errorf("report %d: applied is %v: %w", sequence, applied, err)
		}
		// One write each, so that lines of the clusters' writers do not mix.
		if _, err := fmt.Fprintf(os.Stdout, "acknowledged %s %d\n", cluster, sequence); err != nil {
			return err
		}
	}
}

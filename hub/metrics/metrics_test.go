package metrics

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/periplus-fleet/periplus/hub/store"
)

type counted struct {
	err   error
	reads int
	ready int64
}

func (c *counted) CountClusters(context.Context) ([]store.Count, error) {
	return []store.Count{{Namespace: "fleet", State: "connected", Count: 3}}, c.err
}

func (c *counted) CountDeliveries(context.Context) ([]store.Count, error) {
	c.reads++
	return []store.Count{{Namespace: "fleet", State: "Ready", Count: c.ready}}, c.err
}

func TestFleet(t *testing.T) {
	now := time.Unix(0, 0)
	rows := &counted{ready: 10}
	fleet := NewFleet(rows, slog.New(slog.NewTextHandler(io.Discard, nil)))
	fleet.now = func() time.Time { return now }
	expect := func(reason, want string) {
		t.Helper()
		if err := testutil.CollectAndCompare(fleet, strings.NewReader(want), "periplus_deliveries"); err != nil {
			t.Errorf("%s: %v", reason, err)
		}
	}
	const head = "# HELP periplus_deliveries Deliveries (cluster x bundle) by namespace and state.\n# TYPE periplus_deliveries gauge\n"
	expect("the first scrape counts", head+`periplus_deliveries{namespace="fleet",state="Ready"} 10`+"\n")
	rows.ready = 9
	expect("a scrape soon after costs the store nothing", head+`periplus_deliveries{namespace="fleet",state="Ready"} 10`+"\n")
	if rows.reads != 1 {
		t.Errorf("the store was read %d times", rows.reads)
	}
	now = now.Add(Fresh + time.Second)
	expect("a later one counts anew", head+`periplus_deliveries{namespace="fleet",state="Ready"} 9`+"\n")
	now = now.Add(Fresh + time.Second)
	rows.err = errors.New("away")
	expect("while the store is away nothing is shown", "")
}

// Package metrics shows the fleet's state to Prometheus: how many clusters are connected, how many deliveries are in which
// state. It reads the store, so that every process of a hub shows the same; what a process does itself is measured where it
// is done.
package metrics

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/periplus-fleet/periplus/hub/store"
)

// Fresh is how long counts are kept: a scrape by several collectors costs the store one reading.
const Fresh = 10 * time.Second

const timeout = 5 * time.Second

var (
	clusters   = prometheus.NewDesc("periplus_clusters", "Clusters by namespace and whether their agent is connected.", []string{"namespace", "state"}, nil)
	deliveries = prometheus.NewDesc("periplus_deliveries", "Deliveries (cluster x bundle) by namespace and state.", []string{"namespace", "state"}, nil)
)

// Store counts rows; *store.Store is one.
type Store interface {
	CountClusters(ctx context.Context) ([]store.Count, error)
	CountDeliveries(ctx context.Context) ([]store.Count, error)
}

// Fleet is a prometheus.Collector of the fleet's state.
type Fleet struct {
	store Store
	log   *slog.Logger
	now   func() time.Time

	mu    sync.Mutex
	taken time.Time
	kept  []prometheus.Metric
}

// NewFleet makes a collector over a store.
func NewFleet(store Store, log *slog.Logger) *Fleet {
	return &Fleet{store: store, log: log, now: time.Now}
}

// Describe lists the metrics.
func (f *Fleet) Describe(out chan<- *prometheus.Desc) {
	out <- clusters
	out <- deliveries
}

// Collect counts. While the store cannot be read nothing is shown: an old count would look like a live one.
func (f *Fleet) Collect(out chan<- prometheus.Metric) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.taken.IsZero() || f.now().Sub(f.taken) > Fresh {
		kept, err := f.count()
		if err != nil {
			f.log.Warn("cannot count for metrics", "error", err)
			f.taken, f.kept = time.Time{}, nil
			return
		}
		f.taken, f.kept = f.now(), kept
	}
	for _, metric := range f.kept {
		out <- metric
	}
}

func (f *Fleet) count() ([]prometheus.Metric, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var out []prometheus.Metric
	for _, one := range []struct {
		desc  *prometheus.Desc
		count func(context.Context) ([]store.Count, error)
	}{{clusters, f.store.CountClusters}, {deliveries, f.store.CountDeliveries}} {
		counts, err := one.count(ctx)
		if err != nil {
			return nil, err
		}
		for _, c := range counts {
			out = append(out, prometheus.MustNewConstMetric(one.desc, prometheus.GaugeValue, float64(c.Count), c.Namespace, c.State))
		}
	}
	return out, nil
}

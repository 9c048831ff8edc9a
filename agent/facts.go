package agent

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/periplus-fleet/periplus/agent/kube"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

const (
	// factsSettle lets several CRDs of a bundle come before what is served is read again.
	factsSettle = 2 * time.Second
	factsRetry  = 30 * time.Second
)

// facts tells the hub what the cluster is: at the start, and when a bundle changed what is served. It never polls.
type facts struct {
	client *kube.Client
	mapper *kube.Mapper
	// points at which policies are evaluated.
	points []string
	log    *slog.Logger
	poke   chan struct{}
}

func newFacts(client *kube.Client, mapper *kube.Mapper, points []string, log *slog.Logger) *facts {
	return &facts{client: client, mapper: mapper, points: points, log: log, poke: make(chan struct{}, 1)}
}

// changed says that what is served may have changed.
func (f *facts) changed() {
	select {
	case f.poke <- struct{}{}:
	default:
	}
}

func (f *facts) run(ctx context.Context, tell func(*linkv1.Facts)) {
	wait := time.Duration(0)
	for {
		if !sleep(ctx, wait) {
			return
		}
		found, err := f.read(ctx)
		if err != nil {
			f.log.Warn("cannot read what this cluster serves", "error", err)
			wait = factsRetry
			continue
		}
		tell(found)
		select {
		case <-f.poke:
			wait = factsSettle
		case <-ctx.Done():
			return
		}
	}
}

func (f *facts) read(ctx context.Context) (*linkv1.Facts, error) {
	version, err := f.client.Version(ctx)
	if err != nil {
		return nil, err
	}
	served, err := f.mapper.Served(ctx)
	if err != nil {
		return nil, err
	}
	// Nodes are not counted: that would take a right that the agent needs for nothing else.
	found := &linkv1.Facts{KubernetesVersion: version, PolicyPoints: f.points}
	for _, resource := range served {
		found.ApiVersions = append(found.ApiVersions, resource.GroupVersion().String()+"/"+resource.Kind)
	}
	slices.Sort(found.ApiVersions)
	found.ApiVersions = slices.Compact(found.ApiVersions)
	return found, nil
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

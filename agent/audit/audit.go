// Package audit looks up in what runs in the cluster, ours or not, what the policies in force say of it. It is driven by events:
// each kind that a policy names is listed once, page by page, and watched from there; no object is kept, only what was found.
package audit

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/policy"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/policies/engine"
)

const (
	// defaultSweep is how often everything is looked at again, whatever events said.
	defaultSweep = 24 * time.Hour
	// defaultResults bounds what is kept and told.
	defaultResults = 5000
	// tellEvery is how often the hub is told at most.
	tellEvery = time.Second
)

// Kinds serves the kinds of a cluster; kube.Mapper does.
type Kinds interface {
	Prefer(ctx context.Context, group, kind string) (kube.Resource, error)
	Served(ctx context.Context) ([]kube.Served, error)
}

// Config of an Auditor.
type Config struct {
	// Client reads with the agent's own rights: those that the chart's policy.audit.rules give it.
	Client *kube.Client
	Kinds  Kinds
	// Namespace of the agent, which is not looked at.
	Namespace string
	Now       func() time.Time
	// Sweep is how often everything is looked at again, default 24 hours; MaxResults is how many results are kept, default 5000.
	Sweep      time.Duration
	MaxResults int
	Log        *slog.Logger
}

// Auditor audits a cluster.
type Auditor struct {
	config     Config
	namespaces policy.Namespaces
	reviewers  policy.Reviewers
	// poke says that policies, or what is served, changed.
	poke chan struct{}

	mu       sync.Mutex
	wanted   *policy.InForce
	inForce  *policy.InForce
	kinds    map[schema.GroupKind]*watcher
	problems map[string]string
	found    *results
	tasks    sync.WaitGroup
}

// New makes an auditor; Run starts it.
func New(config Config) *Auditor {
	config.Sweep, config.MaxResults = cmp.Or(config.Sweep, defaultSweep), cmp.Or(config.MaxResults, defaultResults)
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Auditor{config: config, namespaces: policy.Namespaces{Client: config.Client}, poke: make(chan struct{}, 1),
		reviewers: policy.Reviewers{Point: engine.PointAudit, Now: config.Now}, kinds: map[schema.GroupKind]*watcher{},
		problems: map[string]string{}, found: newResults(config.MaxResults)}
}

// Use audits with these policies from now on; with none everything that was found goes.
func (a *Auditor) Use(inForce policy.InForce) {
	a.mu.Lock()
	a.wanted = &inForce
	a.mu.Unlock()
	a.Served()
}

// Served says that something may be served now that was not.
func (a *Auditor) Served() {
	select {
	case a.poke <- struct{}{}:
	default:
	}
}

// Run audits until ctx ends. tell gets what changed, at most once a second, and must not block.
func (a *Auditor) Run(ctx context.Context, tell func(*linkv1.PolicyReport)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer a.tasks.Wait()
	defer cancel()
	news := time.NewTicker(tellEvery)
	defer news.Stop()
	sweep := time.NewTicker(a.config.Sweep)
	defer sweep.Stop()
	expiry := time.NewTimer(0)
	defer expiry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-news.C:
			if report := a.report(); report != nil {
				tell(report)
			}
		case <-sweep.C:
			a.again(func(schema.GroupKind) bool { return true })
		case <-expiry.C:
			// What an exemption let pass is judged as all else from now on.
			a.again(func(schema.GroupKind) bool { return true })
			a.await(expiry)
		case <-a.poke:
			a.follow(ctx)
			a.await(expiry)
		}
	}
}

// await sets the timer to when an exemption ends.
func (a *Auditor) await(expiry *time.Timer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	expiry.Stop()
	if a.inForce == nil {
		return
	}
	now := a.config.Now()
	if next := a.inForce.Snapshot.NextExpiry(a.inForce.Cluster, now); !next.IsZero() {
		// A moment later, so that the clock agrees.
		expiry.Reset(next.Sub(now) + time.Second)
	}
}

// again has kinds listed anew.
func (a *Auditor) again(concerned func(schema.GroupKind) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for kind, w := range a.kinds {
		if concerned(kind) {
			w.relist()
		}
	}
}

// follow brings what is watched to what the policies name and the cluster serves.
func (a *Auditor) follow(ctx context.Context) {
	a.mu.Lock()
	before, wanted := a.inForce, a.wanted
	a.mu.Unlock()
	if wanted == nil {
		return
	}
	kinds, problems := a.named(ctx, wanted.Snapshot)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inForce = wanted
	for kind, w := range a.kinds {
		if why := a.problems[kind.String()]; kinds[kind] && why != "" {
			problems[kind.String()] = why
		}
		if !kinds[kind] {
			w.cancel()
			delete(a.kinds, kind)
			a.found.dropKind(kind)
		}
	}
	a.problems = problems
	var changed func(group, kind string) bool
	if before != nil && before != wanted {
		changed = wanted.Snapshot.Since(before.Snapshot)
	}
	for kind := range kinds {
		w := a.kinds[kind]
		if w == nil {
			a.start(ctx, kind)
			continue
		}
		if w.waiting || changed != nil && (changed(kind.Group, kind.Kind) || !sameCluster(before.Cluster, wanted.Cluster)) {
			w.relist()
		}
	}
}

func sameCluster(a, b engine.Cluster) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// workloads are looked at for policies about every kind, beside what others name: to watch all kinds of a cluster would cost more
// than it finds.
var workloads = []schema.GroupKind{{Kind: "Pod"}, {Kind: "Service"}, {Kind: "Namespace"}, {Group: "apps", Kind: "Deployment"}, {Group: "apps", Kind: "StatefulSet"},
	{Group: "apps", Kind: "DaemonSet"}, {Group: "batch", Kind: "Job"}, {Group: "batch", Kind: "CronJob"}, {Group: "networking.k8s.io", Kind: "Ingress"}}

// named are the kinds to look at.
func (a *Auditor) named(ctx context.Context, snapshot *engine.Snapshot) (map[schema.GroupKind]bool, map[string]string) {
	out, problems := map[schema.GroupKind]bool{}, map[string]string{}
	kinds, all := snapshot.Kinds(engine.PointAudit)
	if all {
		kinds = append(kinds, workloads...)
	}
	for _, kind := range kinds {
		if kind.Kind != "*" {
			out[kind] = !transient[kind]
			continue
		}
		served, err := a.config.Kinds.Served(ctx)
		if err != nil {
			problems[kind.Group] = fmt.Sprintf("cannot find the kinds of group %q: %v", kind.Group, err)
			continue
		}
		for _, one := range served {
			if one.Group == kind.Group && one.Listable {
				of := schema.GroupKind{Group: one.Group, Kind: one.Kind}
				out[of] = !transient[of]
			}
		}
	}
	maps.DeleteFunc(out, func(_ schema.GroupKind, wanted bool) bool { return !wanted })
	for _, p := range snapshot.Policies() {
		if p.Referential() && slices.Contains(p.Metadata.Points, engine.PointAudit) {
			problems["policy "+p.Name] = fmt.Sprintf("policy %s compares objects with others of the cluster (data.inventory), which is not at hand in clusters: only its rules that need none are asked", p.Name)
		}
	}
	return out, problems
}

// transient are kinds that come and go all the time, and hold nothing to judge.
var transient = map[schema.GroupKind]bool{{Kind: "Event"}: true, {Group: "events.k8s.io", Kind: "Event"}: true, {Group: "coordination.k8s.io", Kind: "Lease"}: true}

// problem says why a kind cannot be looked at; "" that it can.
func (a *Auditor) problem(kind schema.GroupKind, why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if why == "" {
		delete(a.problems, kind.String())
		return
	}
	a.problems[kind.String()] = why
}

// report is what changed since the last one; nil for nothing.
func (a *Auditor) report() *linkv1.PolicyReport {
	a.mu.Lock()
	defer a.mu.Unlock()
	problems := make([]string, 0, len(a.problems))
	for _, name := range slices.Sorted(maps.Keys(a.problems)) {
		problems = append(problems, a.problems[name])
	}
	return a.found.report(problems)
}

// Package control is the hub's deciding part, run by the process that leads: it turns fetched commits and FleetClusters into
// targets (target, render, gate), lets the rollout assign them, drains what leaves, relearns clusters after a restore, and
// keeps the projections and statuses that kubectl shows. It keeps nothing that it cannot rebuild from Git, the store and the
// hub's Kubernetes API.
package control

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/periplus-fleet/periplus/hub/chart"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/epoch"
	"github.com/periplus-fleet/periplus/hub/fleet/apply"
	"github.com/periplus-fleet/periplus/hub/gate"
	"github.com/periplus-fleet/periplus/hub/projection"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/hub/source"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// Timing of the control role.
const (
	leadTTL      = 15 * time.Second
	leadInterval = 3 * time.Second
	markInterval = 5 * time.Second
	statusEvery  = time.Second
	sweepEvery   = time.Hour
	sweepAge     = 24 * time.Hour
	historyAge   = 90 * 24 * time.Hour
)

// Config of the control role.
type Config struct {
	Manager   manager.Manager
	Namespace string
	Process   string
	Store     *store.Store
	Source    *source.Repos
	Applier   *apply.Applier
	Resolver  *target.Resolver
	Renderer  *render.Renderer
	Gate      *gate.Gate
	// Charts fetches the charts that bundles name in repositories; nil refuses them.
	Charts *chart.Charts
	// PolicyKey signs the policies that clusters are given; nil signs none.
	PolicyKey ed25519.PrivateKey
	// OnLead is called once this process leads and the store's epoch is judged, before the manager starts.
	OnLead func(ctx context.Context, meta store.Meta) error
	Log    *slog.Logger
}

// Controller runs the control role.
type Controller struct {
	cfg     Config
	client  client.Client
	epoch   epoch.Keeper
	writer  projection.Writer
	planner map[string]*planner // by namespace; owned by the plan loop
	values  *valuesWatch
	// running ends when this process leads no more.
	running context.Context

	term  atomic.Uint64
	ready atomic.Bool

	mu    sync.Mutex
	repos map[client.ObjectKey]*repoState
	// planned is what each namespace declared when it was last planned, declarations what it declares now.
	planned      map[string]declaration
	declarations map[string]declaration
	// policies in force by namespace.
	policies map[string]*engine.Snapshot
	dirty    map[string]*scope
	// unclaimed bundles by cluster uid, of relearning clusters that wait for a person.
	unclaimed map[string]string
	wake      chan struct{}
	// pokes ask for a FleetRepo's status to be written again.
	pokes chan event.GenericEvent

	// writing guards projections and statuses, which two loops write.
	writing sync.Mutex
}

// New makes the control role's controller and registers its reconcilers with the manager.
func New(cfg Config) (*Controller, error) {
	c := &Controller{
		cfg: cfg, client: cfg.Manager.GetClient(),
		epoch:   epoch.Keeper{Client: cfg.Manager.GetClient(), Namespace: cfg.Namespace},
		writer:  projection.Writer{Client: cfg.Manager.GetClient()},
		planner: map[string]*planner{}, repos: map[client.ObjectKey]*repoState{}, dirty: map[string]*scope{}, unclaimed: map[string]string{}, policies: map[string]*engine.Snapshot{},
		planned: map[string]declaration{}, declarations: map[string]declaration{},
		wake: make(chan struct{}, 1), pokes: make(chan event.GenericEvent),
	}
	direct, err := client.NewWithWatch(cfg.Manager.GetConfig(), client.Options{Scheme: cfg.Manager.GetScheme()})
	if err != nil {
		return nil, fmt.Errorf("cannot make a client that watches values: %w", err)
	}
	c.values = newValuesWatch(direct, c.Replan)
	if err := c.registerRepos(cfg.Manager); err != nil {
		return nil, err
	}
	if err := c.registerClusters(cfg.Manager); err != nil {
		return nil, err
	}
	return c, nil
}

// Ready says whether this process leads and has judged the store's epoch.
func (c *Controller) Ready() bool { return c.ready.Load() }

// Term is the leader's term, which every control write carries; 0 while another process leads.
func (c *Controller) Term() uint64 { return c.term.Load() }

// Run leads until ctx ends. It returns an error when leadership was lost, so that the process starts over with nothing stale.
func (c *Controller) Run(ctx context.Context) error {
	if err := c.lead(ctx); err != nil {
		return ignoreCancel(ctx, err)
	}
	if err := c.judgeEpoch(ctx); err != nil {
		return ignoreCancel(ctx, err)
	}
	meta, err := c.cfg.Store.Meta(ctx)
	if err == nil {
		err = c.cfg.OnLead(ctx, meta)
	}
	if err != nil {
		return ignoreCancel(ctx, err)
	}
	c.ready.Store(true)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.running = ctx
	var group sync.WaitGroup
	for name, loop := range map[string]func(context.Context) error{
		"leadership": c.keepLeading, "write mark": c.keepMark, "plan": c.planLoop, "status": c.statusLoop, "sweep": c.sweepLoop,
		"controllers": c.cfg.Manager.Start,
	} {
		group.Go(func() {
			if err := loop(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("cannot keep up the %s: %w", name, err))
			}
		})
	}
	group.Wait()
	c.ready.Store(false)
	c.term.Store(0)
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// lead waits until this process leads.
func (c *Controller) lead(ctx context.Context) error {
	for {
		term, leader, err := c.cfg.Store.Lead(ctx, c.cfg.Process, leadTTL)
		if err != nil {
			c.cfg.Log.Warn("cannot ask for leadership", "error", err)
		}
		if leader {
			c.term.Store(term)
			c.cfg.Log.Info("leading", "term", term)
			return nil
		}
		if err := wait(ctx, leadInterval); err != nil {
			return err
		}
	}
}

func (c *Controller) keepLeading(ctx context.Context) error {
	last := time.Now()
	for {
		if err := wait(ctx, leadInterval); err != nil {
			return err
		}
		term, leader, err := c.cfg.Store.Lead(ctx, c.cfg.Process, leadTTL)
		switch {
		case err == nil && (!leader || term != c.term.Load()):
			return errors.New("another process leads")
		case err == nil:
			last = time.Now()
		case time.Since(last) > leadTTL:
			return fmt.Errorf("leadership could not be renewed in time: %w", err)
		}
	}
}

// judgeEpoch compares the store's epoch with the Lease's before anything is decided.
func (c *Controller) judgeEpoch(ctx context.Context) error {
	meta, err := c.cfg.Store.Meta(ctx)
	if err != nil {
		return err
	}
	lease, err := c.epoch.Load(ctx)
	if err != nil {
		return err
	}
	clusters, err := c.cfg.Store.Clusters(ctx, "")
	if err != nil {
		return err
	}
	verdict := epoch.Judge(meta, lease, len(clusters))
	if verdict.FleetID != "" {
		if err := c.cfg.Store.AdoptFleet(ctx, verdict.FleetID); err != nil {
			return err
		}
	}
	if verdict.NewEpoch {
		if meta, err = c.cfg.Store.NewEpoch(ctx); err != nil {
			return err
		}
		c.cfg.Log.Warn("a new epoch begins: clusters are relearned, nothing is removed meanwhile", "epoch", meta.Epoch, "reason", verdict.Reason)
	}
	return c.epoch.Save(ctx, meta)
}

// keepMark copies the store's write mark into the Lease, so that an older copy of the store is noticed at the next start.
func (c *Controller) keepMark(ctx context.Context) error {
	var saved uint64
	for {
		if err := wait(ctx, markInterval); err != nil {
			return err
		}
		meta, err := c.cfg.Store.Meta(ctx)
		if err == nil && meta.WriteMark != saved {
			if err = c.epoch.Save(ctx, meta); err == nil {
				saved = meta.WriteMark
			}
		}
		if err != nil && ctx.Err() == nil {
			c.cfg.Log.Warn("cannot keep the write mark", "error", err)
		}
	}
}

func (c *Controller) sweepLoop(ctx context.Context) error {
	for {
		if err := wait(ctx, sweepEvery); err != nil {
			return err
		}
		if _, err := c.cfg.Store.Sweep(ctx, sweepAge); err != nil && ctx.Err() == nil {
			c.cfg.Log.Warn("cannot sweep unreferenced content", "error", err)
		}
		if err := c.cfg.Store.Forget(ctx, historyAge); err != nil && ctx.Err() == nil {
			c.cfg.Log.Warn("cannot forget old history", "error", err)
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func ignoreCancel(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func bundleName(key delivery.Key) string {
	_, name, _ := strings.Cut(string(key), "/")
	return name
}

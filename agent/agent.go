// Package agent is the one process that a member cluster runs: it dials out to the hub, holds what the hub asks of this
// cluster, brings the cluster to it and keeps it there, and reports. Run is the list of its parts and who talks to whom:
//
//	link --accepted set--> desired --changed--> reconcile --status--> link
//	                                 observe --changed object--> reconcile --> apply, prune
package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/health"
	"github.com/periplus-fleet/periplus/agent/identity"
	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/link"
	"github.com/periplus-fleet/periplus/agent/link/session"
	"github.com/periplus-fleet/periplus/agent/query"
	"github.com/periplus-fleet/periplus/agent/reconcile"
	"github.com/periplus-fleet/periplus/agent/sealed"
	"github.com/periplus-fleet/periplus/agent/tenancy"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// Config of an agent.
type Config struct {
	// Kubernetes is the cluster's API server, as the agent's own ServiceAccount.
	Kubernetes *rest.Config
	// Namespace that the agent runs in and keeps its state in.
	Namespace string
	// HubEndpoints are addresses (host:port) of the hub's link, for the first contact.
	HubEndpoints []string
	// HubCAHash is "sha256:<hex>" of the public key of the hub's CA.
	HubCAHash string
	// JoinSecret names the Secret with the join token.
	JoinSecret string
	// Tenants are the ServiceAccounts that bundles of each tenant may act as.
	Tenants tenancy.Accounts
	// SopsSecret names the Secret with the cluster's keys for sealed manifests.
	SopsSecret string
	// Queries are the kinds of queries that the cluster's owner lets through (query.Kinds).
	Queries map[string]bool
	// Policy says where policies are evaluated.
	Policy PolicyConfig
	// HealthRules is a folder of rules of health beside those that ship; "" for none.
	HealthRules string
	// HealthAddress to serve /healthz and /readyz on; "" for none.
	HealthAddress string
	Version       string
	Log           *slog.Logger
}

const (
	// gcPercent keeps the heap of an agent at rest small; memoryLimit keeps a burst below the limit of the chart.
	gcPercent   = 50
	memoryLimit = 160 << 20
	firstRetry  = time.Second
	lastRetry   = 30 * time.Second
)

// Run is the agent, until ctx ends.
func Run(ctx context.Context, config Config) error {
	limitMemory()
	if config.Policy.Role == roleAdmission {
		return runAdmission(ctx, config)
	}
	if config.HealthRules != "" {
		rules, err := health.Shipped().With(os.DirFS(config.HealthRules))
		if err != nil {
			config.Log.Error("some health rules are left out", "folder", config.HealthRules, "error", err)
		}
		health.Use(rules)
	}
	cluster := kube.New(config.Kubernetes, config.Namespace)
	self, err := cluster.As("")
	if err != nil {
		return err
	}
	secrets, err := cluster.Secrets()
	if err != nil {
		return err
	}
	var (
		mark       string
		store      *desired.Store
		wanted     *bundles
		enforced   *enforcement
		records    *inventory.Store
		identified *identity.Identity
		reconciler *reconcile.Reconciler
		hub        *link.Client
	)
	// An API server that is away at the start is no reason to end: the pod would only be started again.
	err = retry(ctx, config.Log, "cannot read what this cluster holds", func() error {
		if mark, err = fingerprint(ctx, self); err != nil {
			return err
		}
		store, err = desired.Open(ctx, desired.Config{Secrets: secrets, Fingerprint: mark, Log: config.Log,
			Changed: func() { reconciler.Changed(ctx); enforced.changed() }, Applied: func() []content.Digest { return records.Revisions() },
			// What is found lost before there is a link is looked for as soon as a hub is there.
			Lost: func() {
				if hub != nil {
					hub.Lost()
				}
			},
			Refilled: func(bundles []string) { reconciler.Refilled(ctx, bundles); enforced.changed() }})
		if err != nil {
			return err
		}
		wanted = &bundles{Store: store}
		if records, err = inventory.Open(ctx, secrets); err != nil {
			return err
		}
		for _, problem := range records.Unreadable() {
			config.Log.Error("an inventory is lost: what it named stays, and is taken up again as its bundle is applied", "error", problem)
		}
		if enforced, err = openEnforcement(ctx, config, store, secrets); err != nil {
			return err
		}
		about := identityConfig(config, secrets, mark)
		about.Renewed = func() { hub.Renewed() }
		identified, err = identity.Open(ctx, about)
		return err
	})
	if err != nil {
		return err
	}
	mapper := kube.NewMapper(self)
	enforced.prepare(self, mapper)
	queries := query.New(query.Config{Cluster: cluster, Mapper: mapper, Desired: wanted, Inventory: records, Tenants: config.Tenants,
		Status: func(bundle string) *linkv1.BundleStatus { return reconciler.Status(bundle) }, Allowed: config.Queries, Log: config.Log})
	hub = link.New(link.Config{Identity: identified, Keeper: store, Queries: queries, Log: config.Log,
		Commands: commands(func(ctx context.Context, command *linkv1.Command) error { return reconciler.Do(ctx, command) }),
		Session:  session.Config{Capabilities: capabilities(), AgentVersion: config.Version, Instance: instance(), Fingerprint: mark}})
	keyring := &sealed.Keyring{Secrets: secrets, Namespace: config.Namespace, Name: config.SopsSecret, Log: config.Log}
	facts := newFacts(self, mapper, config.Policy.Points, config.Log)
	reconciler = reconcile.New(reconcile.Config{Cluster: cluster, Mapper: mapper, Desired: wanted, Inventory: records,
		Tenants: config.Tenants, Hub: hub, Keys: keyring.Keys, Log: config.Log, Served: func() { facts.changed(); enforced.served() }, Now: time.Now})

	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return reconciler.Run(ctx) })
	tasks.Go(func() error {
		select {
		case <-secrets.Lost():
			return secrets.Why()
		case <-ctx.Done():
			return nil
		}
	})
	tasks.Go(func() error { return enforced.run(ctx, self, hub) })
	tasks.Go(func() error { return connect(ctx, identified, hub) })
	tasks.Go(func() error { return identified.Run(ctx) })
	tasks.Go(func() error { keyring.Follow(ctx, reconciler.KeysChanged); return nil })
	tasks.Go(func() error { facts.run(ctx, hub.SetFacts); return nil })
	tasks.Go(func() error { return serveHealth(ctx, config.HealthAddress, hub.Connected) })
	if err := tasks.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// connect joins if the agent never did, and holds the link from then on. What was accepted is reconciled meanwhile.
func connect(ctx context.Context, identified *identity.Identity, hub *link.Client) error {
	if err := identified.Ensure(ctx); err != nil {
		return err
	}
	return hub.Run(ctx)
}

// commands lets the link reach a reconciler that is made after it.
type commands func(context.Context, *linkv1.Command) error

// Do carries out a command of the hub.
func (c commands) Do(ctx context.Context, command *linkv1.Command) error { return c(ctx, command) }

// capabilities are what revisions may need of this agent beyond applying objects.
func capabilities() []string {
	return []string{content.CapabilityHooks, content.CapabilityOnce, content.CapabilitySealed, content.CapabilityObjectDependencies,
		content.CapabilityOptions, content.CapabilityWaves, content.CapabilityRollback, content.CapabilityDriftManagers, content.CapabilityQueries, content.CapabilityPolicies}
}

// instance tells this process from another agent with the same identity.
func instance() string { return rand.Text() }

// limitMemory keeps the heap small at the cost of some work, unless the environment says otherwise.
func limitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}

var namespaces = kube.Resource{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, Kind: "Namespace"}

// fingerprint tells this cluster from its clones, as far as anything in it does.
func fingerprint(ctx context.Context, client *kube.Client) (string, error) {
	namespace, err := client.Get(ctx, namespaces, "", "kube-system")
	if err != nil {
		return "", fmt.Errorf("cannot read namespace \"kube-system\": %w", err)
	}
	return string(namespace.GetUID()), nil
}

func retry(ctx context.Context, log *slog.Logger, what string, try func() error) error {
	wait := firstRetry
	for {
		err := try()
		if err == nil {
			return nil
		}
		log.Warn(what, "retry", wait.String(), "error", err)
		if !sleep(ctx, wait) {
			return err
		}
		wait = min(2*wait, lastRetry)
	}
}

package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/periplus-fleet/periplus/agent/admission"
	"github.com/periplus-fleet/periplus/agent/audit"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/link"
	"github.com/periplus-fleet/periplus/agent/policy"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/policies/engine"
	"github.com/periplus-fleet/periplus/policies/parcel"
)

// The roles of a process.
const (
	roleAgent     = "agent"
	roleAdmission = "admission"
)

// PolicyConfig says where policies are evaluated in the cluster: its owner's choice.
type PolicyConfig struct {
	// Role is agent, or admission for a process that only answers API servers.
	Role string
	// Points are admission, audit, or both; none evaluates nothing.
	Points []string
	// Key verifies the hub's signature of policies; nil takes them unsigned.
	Key ed25519.PublicKey
	// Address to answer API servers at; "" where other processes of the role admission do.
	Address string
	// Service and ServicePort reach that; or URL does, for an API server that reaches no Service.
	Service     string
	ServicePort int
	URL         string
	// Excluded are namespaces in which no request is judged, beside the agent's own.
	Excluded []string
	// Owner is the ClusterRole with which the registration goes.
	Owner string
}

func policyFlags(flags *flag.FlagSet, config *PolicyConfig) {
	flags.StringVar(&config.Role, "role", roleAgent, "`part` that this process runs: agent, or admission, which only answers API servers with what the agent loaded")
	flags.Func("policy-points", "`points` at which policies are evaluated here: admission, audit; none when empty", func(text string) error {
		for point := range strings.SplitSeq(text, ",") {
			if point != "" && point != engine.PointAdmission && point != engine.PointAudit {
				return fmt.Errorf("unknown point %q; known are admission, audit", point)
			}
			if point != "" && !slices.Contains(config.Points, point) {
				config.Points = append(config.Points, point)
			}
		}
		slices.Sort(config.Points)
		return nil
	})
	flags.Func("policy-key", "PEM `file` with the hub's public Ed25519 key: policies that it did not sign are refused", func(file string) (err error) {
		config.Key, err = parcel.PublicKey(file)
		return err
	})
	flags.StringVar(&config.Address, "admission-address", "", "`address` (host:port) to answer API servers at; others of the role admission do when empty")
	flags.StringVar(&config.Service, "admission-service", "periplus-agent-admission", "`name` of the Service that leads there")
	flags.IntVar(&config.ServicePort, "admission-service-port", 443, "its `port`")
	flags.StringVar(&config.URL, "admission-url", "", "`https://host:port` at which API servers reach it, where they reach no Service")
	flags.Func("admission-exclude", "`namespace` in which no request is judged; repeat it for more. The agent's own never is", func(name string) error {
		config.Excluded = append(config.Excluded, name)
		return nil
	})
	flags.StringVar(&config.Owner, "owner", "", "`name` of the ClusterRole with which the registration for admission goes when the agent is uninstalled")
}

func (c PolicyConfig) check() error {
	if c.Role != roleAgent && c.Role != roleAdmission {
		return fmt.Errorf("%w: --role: unknown part %q; known are agent, admission", ErrUsage, c.Role)
	}
	if c.Role == roleAdmission && c.Address == "" {
		return fmt.Errorf("%w: --admission-address is required with --role=admission", ErrUsage)
	}
	if parsed, err := url.Parse(c.URL); c.URL != "" && (err != nil || parsed.Scheme != "https" || parsed.Host == "") {
		return fmt.Errorf("%w: --admission-url must be https://host:port, not %q", ErrUsage, c.URL)
	}
	return nil
}

func (c PolicyConfig) at(point string) bool { return slices.Contains(c.Points, point) }

// hosts are the names that the certificate of admission is for.
func (c PolicyConfig) hosts(namespace string) []string {
	hosts := []string{c.Service + "." + namespace + ".svc"}
	if parsed, err := url.Parse(c.URL); c.URL != "" && err == nil {
		hosts = append(hosts, parsed.Hostname())
	}
	return hosts
}

// enforcement evaluates policies in the cluster: at admission, and in audit.
type enforcement struct {
	config  Config
	secrets *kube.Secrets
	loader  *policy.Loader

	registration *admission.Registration
	auditor      *audit.Auditor
	told         decided
}

func openEnforcement(ctx context.Context, config Config, store policy.Desired, secrets *kube.Secrets) (*enforcement, error) {
	e := &enforcement{config: config, secrets: secrets}
	var err error
	e.loader, err = policy.Open(ctx, policy.Config{Desired: store, Secrets: secrets, Key: config.Policy.Key, Log: config.Log})
	return e, err
}

// prepare makes what others may call before run.
func (e *enforcement) prepare(self *kube.Client, mapper *kube.Mapper) {
	config := e.config.Policy
	if config.at(engine.PointAdmission) {
		e.registration = &admission.Registration{Client: self, Finder: mapper, Name: e.config.Namespace + "-" + config.Service, Owner: config.Owner,
			Namespace: e.config.Namespace, Excluded: config.Excluded, Service: config.Service, Port: int32(config.ServicePort), URL: config.URL,
			Stays: config.Address == "", Log: e.config.Log}
	}
	if config.at(engine.PointAudit) {
		e.auditor = audit.New(audit.Config{Client: self, Kinds: mapper, Namespace: e.config.Namespace, Log: e.config.Log})
	}
}

// changed says that another set was accepted.
func (e *enforcement) changed() { e.loader.Changed() }

// served says that what the cluster serves may have changed.
func (e *enforcement) served() {
	if e.registration != nil {
		e.registration.Changed()
	}
	if e.auditor != nil {
		e.auditor.Served()
	}
}

// run evaluates until ctx ends. Without points it only carries out what removes policies.
func (e *enforcement) run(ctx context.Context, self *kube.Client, hub *link.Client) error {
	tasks, ctx := errgroup.WithContext(ctx)
	var users []func(policy.InForce)
	if e.config.Policy.at(engine.PointAdmission) {
		users = append(users, e.admit(ctx, tasks, self, hub))
	}
	if e.auditor != nil {
		tasks.Go(func() error { return e.auditor.Run(ctx, hub.ReportPolicy) })
		users = append(users, e.auditor.Use)
	}
	tasks.Go(func() error {
		return e.loader.Run(ctx, len(e.config.Policy.Points) > 0, hub, func(inForce policy.InForce) {
			for _, use := range users {
				use(inForce)
			}
		})
	})
	return tasks.Wait()
}

// admit starts what admission needs, and returns who uses the policies.
func (e *enforcement) admit(ctx context.Context, tasks *errgroup.Group, self *kube.Client, hub *link.Client) func(policy.InForce) {
	config := e.config.Policy
	certificates := &admission.Certificates{Secrets: e.secrets, Hosts: config.hosts(e.config.Namespace), Renewed: e.registration.Trust,
		Now: time.Now, Log: e.config.Log}
	tasks.Go(func() error { return certificates.Keep(ctx) })
	tasks.Go(func() error { return e.registration.Run(ctx) })
	if config.Address == "" {
		return func(inForce policy.InForce) { e.registration.Use(inForce.Snapshot) }
	}
	server := admission.NewServer(admission.Config{Certificate: certificates.Certificate, Namespaces: &policy.Namespaces{Client: self}, Log: e.config.Log,
		Found: func(results []admission.Result) {
			if fresh := e.told.fresh(results, time.Now()); len(fresh) > 0 {
				hub.ReportPolicy(decisions(fresh))
			}
		}})
	tasks.Go(func() error { return answer(ctx, config.Address, server, e.config.Log) })
	return func(inForce policy.InForce) {
		// Who answers first: a registration must not come before.
		server.Use(inForce)
		e.registration.Use(inForce.Snapshot)
	}
}

// runAdmission is a process that only answers API servers: it holds no link, and follows what the agent loaded.
func runAdmission(ctx context.Context, config Config) error {
	cluster := kube.New(config.Kubernetes, config.Namespace)
	self, err := cluster.As("")
	if err != nil {
		return err
	}
	secrets, err := cluster.Secrets()
	if err != nil {
		return err
	}
	certificates := &admission.Certificates{Secrets: secrets, Hosts: config.Policy.hosts(config.Namespace), Now: time.Now, Log: config.Log}
	var loaded atomic.Bool
	server := admission.NewServer(admission.Config{Certificate: certificates.Certificate, Namespaces: &policy.Namespaces{Client: self}, Log: config.Log})
	follower := &policy.Follower{Secrets: secrets, Key: config.Policy.Key, Log: config.Log, Loaded: func(inForce policy.InForce) {
		server.Use(inForce)
		loaded.Store(true)
	}}
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return certificates.Follow(ctx) })
	tasks.Go(func() error { return follower.Run(ctx) })
	tasks.Go(func() error { return answer(ctx, config.Policy.Address, server, config.Log) })
	tasks.Go(func() error { return serveHealth(ctx, config.HealthAddress, loaded.Load) })
	if err := tasks.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func answer(ctx context.Context, address string, server *admission.Server, log *slog.Logger) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("cannot listen for API servers (--admission-address): %w", err)
	}
	log.Info("answering API servers for policies", "address", listener.Addr().String())
	return server.Serve(ctx, listener)
}

const (
	// decidedAge is how long a decision is not told again: controllers ask for what is denied over and over.
	decidedAge = 10 * time.Minute
	maxDecided = 1000
)

// decided are decisions that were told lately.
type decided struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// fresh are those that were not.
func (d *decided) fresh(results []admission.Result, now time.Time) []admission.Result {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.last, func(_ string, at time.Time) bool { return now.Sub(at) > decidedAge })
	if d.last == nil || len(d.last) > maxDecided {
		d.last = map[string]time.Time{}
	}
	return slices.DeleteFunc(results, func(r admission.Result) bool {
		key := r.Policy + " " + r.Object.String() + " " + r.ID() + " " + r.User
		_, told := d.last[key]
		if !told {
			d.last[key] = now
		}
		return told
	})
}

// decisions are what the hub is told of requests.
func decisions(results []admission.Result) *linkv1.PolicyReport {
	report := &linkv1.PolicyReport{}
	for _, r := range results {
		object := &linkv1.ObjectId{Group: r.Object.Group, Kind: r.Object.Kind, Namespace: r.Object.Namespace, Name: r.Object.Name}
		report.Upserts = append(report.Upserts, &linkv1.PolicyResult{
			Key:  &linkv1.PolicyResultKey{Point: engine.PointAdmission, Object: object, Policy: r.Policy, Id: r.ID()},
			Rule: r.Rule, Action: string(r.Action), Result: r.Result, Message: r.Message, File: r.File, Line: int32(r.Line), Exemption: r.Exemption,
			Time: timestamppb.New(r.Time), Revision: string(r.Revision), User: r.User, Operation: r.Operation})
	}
	return report
}

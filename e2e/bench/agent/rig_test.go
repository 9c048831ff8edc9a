// Package agent_test measures the agent as it ships: its process, on an API server of its own, with a hub's link. Each
// benchmark runs once, as what it measures takes longer than a benchmark's time; `make bench RUN=agent` prints the figures.
package agent_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/periplus-fleet/periplus/e2e/member"
)

const (
	// patience bounds every wait.
	patience = 20 * time.Minute
	mib      = 1 << 20
)

// rig is a member cluster and its agent.
type rig struct {
	b      *testing.B
	ctx    context.Context
	member *member.Member
	agent  *member.Agent
}

func newRig(b *testing.B) *rig {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	b.Cleanup(cancel)
	m, err := member.Start(ctx, member.Config{Profile: os.Getenv("PROFILE")})
	b.Cleanup(func() {
		if err := m.Stop(); err != nil {
			b.Error(err)
		}
	})
	r := &rig{b: b, ctx: ctx, member: m}
	r.must(err)
	return r
}

func (r *rig) must(err error) {
	r.b.Helper()
	if err != nil {
		r.b.Fatal(err)
	}
}

// assign gives the cluster bundles of as many objects each, whose kinds take turns.
func (r *rig) assign(bundles, objects int) {
	r.b.Helper()
	for b := range bundles {
		bundle := member.Bundle{Name: fmt.Sprintf("b%04d", b)}
		for i := range objects {
			bundle.Objects = append(bundle.Objects, member.Sample(i, fmt.Sprintf("b%04d-%03d", b, i), "first"))
		}
		r.must(r.member.Hub.Assign(bundle))
	}
}

func (r *rig) start() {
	r.b.Helper()
	var err error
	r.agent, err = r.member.StartAgent(r.ctx)
	r.must(err)
}

func (r *rig) settle() {
	r.b.Helper()
	r.must(r.member.Hub.Settle(r.ctx))
}

// rest waits until the agent asked nothing for a while, and gives what it asked until then since the last look.
func (r *rig) rest(quiet time.Duration) (asked []member.Call) {
	r.b.Helper()
	last := time.Now()
	r.must(member.Eventually(r.ctx, func() string {
		calls, err := r.member.Audit.Calls()
		r.must(err)
		if len(calls) > 0 {
			asked, last = append(asked, calls...), time.Now()
		}
		if time.Since(last) < quiet {
			return "the agent is not at rest"
		}
		return ""
	}))
	return asked
}

func (r *rig) usage() member.Usage {
	r.b.Helper()
	usage, err := r.agent.Usage()
	r.must(err)
	return usage
}

// calls of the agent since the last look.
func (r *rig) calls() []member.Call {
	r.b.Helper()
	calls, err := r.member.Audit.Calls()
	r.must(err)
	return calls
}

// counts of calls: those for objects, those for what the agent keeps for itself, and what was refused.
type counts struct {
	all, writes, ownWrites, gets, ownGets, lists, watches, failed int
}

func count(calls []member.Call) counts {
	c := counts{all: len(calls)}
	for _, call := range calls {
		switch {
		case call.Write() && call.Tenant:
			c.writes++
		case call.Write():
			c.ownWrites++
		case call.Verb == "get" && call.Tenant:
			c.gets++
		case call.Verb == "get":
			c.ownGets++
		case call.Verb == "list":
			c.lists++
		case call.Verb == "watch":
			c.watches++
		}
		// Not found is how an agent learns that it is the first.
		if call.Code >= 400 && call.Code != 404 {
			c.failed++
		}
	}
	return c
}

func (r *rig) report(value float64, metric string) { r.b.ReportMetric(value, metric) }

// percentile by nearest rank, in seconds.
func percentile(values []time.Duration, p float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)].Seconds()
}

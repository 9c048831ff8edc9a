package agent_test

import (
	"testing"
	"time"
)

// BenchmarkApply1000x4 is the first apply of 1,000 bundles of 4 objects, from the agent's start with an empty memory to the
// last bundle ready in the hub's eyes.
func BenchmarkApply1000x4(b *testing.B) {
	r := newRig(b)
	const bundles, each = 1000, 4
	r.assign(bundles, each)
	r.must(r.member.Audit.Skip())
	r.start()
	r.settle()
	took, used := time.Since(r.agent.Started), r.usage()
	c := count(r.rest(2 * time.Second))
	const objects = bundles * each
	r.report(took.Seconds(), "s")
	r.report(float64(used.Peak)/mib, "peak-MiB")
	r.report(used.CPU.Seconds(), "cpu-s")
	r.report(float64(c.all)/objects, "calls/object")
	r.report(float64(c.writes)/objects, "writes/object")
	r.report(float64(c.gets)/objects, "gets/object")
	r.report(float64(c.ownGets)/bundles, "own-gets/bundle")
	r.report(float64(c.ownWrites)/bundles, "own-writes/bundle")
	r.report(float64(c.lists), "lists")
	r.report(float64(c.watches), "watches")
	r.report(float64(c.failed), "refused-calls")

	// The same agent started anew: nothing is to be written.
	r.must(r.agent.Stop())
	r.calls()
	r.member.Hub.Forget()
	r.start()
	r.settle()
	again := count(r.rest(2 * time.Second))
	r.report(float64(again.writes+again.ownWrites), "writes-after-restart")
	r.report(float64(again.all), "calls-after-restart")
	r.report(float64(r.usage().RSS)/mib, "rest-MiB")
}

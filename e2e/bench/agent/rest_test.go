package agent_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/periplus-fleet/periplus/e2e/member"
)

// restTime is how long an agent at rest is looked at.
const restTime = time.Minute

// BenchmarkRest is an agent with 50 bundles and 500 objects that nobody changes: what it takes and what it asks for. Then it
// is started anew, and at last others change objects.
func BenchmarkRest(b *testing.B) {
	r := newRig(b)
	size, err := r.member.BinarySize()
	r.must(err)
	r.report(float64(size)/mib, "binary-MiB")
	r.assign(50, 10)
	r.start()
	r.settle()
	r.rest(3 * time.Second)
	r.atRest("")
	starts, tenants := make([]time.Duration, 0, 5), make([]time.Duration, 0, 5)
	for range cap(starts) {
		ready, asked := r.restart()
		starts, tenants = append(starts, ready), append(tenants, asked)
	}
	r.report(percentile(starts, 0.5), "start-s")
	r.report(percentile(starts, 1), "start-max-s")
	r.report(percentile(tenants, 0.5), "first-look-s")
	repairs := r.drift(100)
	r.report(percentile(repairs, 0.5), "repair-p50-s")
	r.report(percentile(repairs, 0.95), "repair-p95-s")
	r.report(percentile(repairs, 1), "repair-max-s")
	r.report(float64(count(r.rest(2*time.Second)).writes)/float64(len(repairs)), "writes/repair")
}

// atRest looks at the agent for a minute.
func (r *rig) atRest(prefix string) {
	r.calls()
	before, began := r.usage(), time.Now()
	most := before.RSS
	for time.Since(began) < restTime {
		<-time.After(time.Second)
		most = max(most, r.usage().RSS)
	}
	after, c, minutes := r.usage(), count(r.calls()), time.Since(began).Minutes()
	r.report(float64(most)/mib, prefix+"rss-MiB")
	r.report(float64(after.Peak)/mib, prefix+"peak-MiB")
	r.report(float64(after.CPU-before.CPU)/float64(time.Millisecond)/(minutes*60), prefix+"millicores")
	r.report(float64(c.writes+c.ownWrites), prefix+"writes")
	r.report(float64(c.all)/minutes, prefix+"requests/min")
}

// restart stops the agent and says how long the next takes from its execution until it asks for the first object of a
// bundle, and until the hub has heard that all bundles are ready.
func (r *rig) restart() (ready, asked time.Duration) {
	r.b.Helper()
	r.must(r.agent.Stop())
	r.member.Hub.Forget()
	r.calls()
	r.start()
	r.settle()
	ready = time.Since(r.agent.Started)
	calls := r.rest(time.Second)
	first := slices.IndexFunc(calls, func(c member.Call) bool { return c.Tenant })
	if first < 0 {
		r.b.Fatal("the agent did not look at a bundle's object")
	}
	return ready, calls[first].Received.Sub(r.agent.Started)
}

// drift changes objects that the agent holds, as somebody else, and says how long each took to be as it was.
func (r *rig) drift(changes int) []time.Duration {
	r.b.Helper()
	maps := r.member.Client.CoreV1().ConfigMaps(member.Space)
	stream, err := maps.Watch(r.ctx, metav1.ListOptions{LabelSelector: "fleet.periplus.dev/managed=true"})
	r.must(err)
	defer stream.Stop()
	var took []time.Duration
	for i := range changes {
		// Objects 0, 4 and 8 of each bundle are ConfigMaps.
		name := fmt.Sprintf("b%04d-%03d", rand.IntN(50), 4*rand.IntN(3))
		_, err := maps.Patch(r.ctx, name, types.MergePatchType, fmt.Appendf(nil, `{"data":{"value":"drifted-%d"}}`, i), metav1.PatchOptions{FieldManager: "somebody"})
		r.must(err)
		changed := time.Now()
		for drifted := false; ; {
			event, open := <-stream.ResultChan()
			if !open {
				r.b.Fatal("the watch of the changed objects ended")
			}
			live, ok := event.Object.(*corev1.ConfigMap)
			if event.Type != watch.Modified || !ok || live.Name != name {
				continue
			}
			if live.Data["value"] != "first" {
				drifted = true
			} else if drifted {
				break
			}
		}
		took = append(took, time.Since(changed))
	}
	return took
}

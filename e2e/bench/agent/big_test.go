package agent_test

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/periplus-fleet/periplus/e2e/member"
)

const (
	// foreign objects of the kinds that bundles have, made by others.
	foreign        = 45_000
	foreignWriters = 16
)

// BenchmarkBig is an agent with 100 bundles and 5,000 objects at rest in a cluster of 50,000, then started anew there.
func BenchmarkBig(b *testing.B) {
	r := newRig(b)
	r.crowd()
	r.assign(100, 50)
	r.start()
	r.settle()
	r.report(time.Since(r.agent.Started).Seconds(), "apply-s")
	r.rest(5 * time.Second)
	r.atRest("")
	ready, asked := r.restart()
	r.report(ready.Seconds(), "start-s")
	r.report(asked.Seconds(), "first-look-s")
	r.atRest("restarted-")
	repairs := r.drift(50)
	r.report(percentile(repairs, 0.5), "repair-p50-s")
	r.report(percentile(repairs, 0.95), "repair-p95-s")
}

// crowd fills the cluster with objects that are nobody's business, in the namespace that bundles use.
func (r *rig) crowd() {
	r.b.Helper()
	config := rest.CopyConfig(r.member.Admin)
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	r.must(err)
	group, ctx := errgroup.WithContext(r.ctx)
	group.SetLimit(foreignWriters)
	for i := range foreign {
		group.Go(func() error {
			meta := metav1.ObjectMeta{Name: fmt.Sprintf("foreign-%05d", i), Labels: map[string]string{"app.kubernetes.io/name": "foreign"}}
			var err error
			if i%2 == 0 {
				_, err = client.CoreV1().ConfigMaps(member.Space).Create(ctx, &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"value": meta.Name}}, metav1.CreateOptions{})
			} else {
				_, err = client.CoreV1().ServiceAccounts(member.Space).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
			}
			return err
		})
	}
	r.must(group.Wait())
}

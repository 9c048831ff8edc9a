package reconcile_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/kube"
)

func TestWhatWasAppliedIsKnownWhenTheAgentEndsHalfWay(t *testing.T) {
	m := newMember(t)
	ctx := context.Background()
	var objects []string
	for i := range 300 {
		objects = append(objects, configMapYAML(fmt.Sprintf("c%03d", i), "1"))
	}
	m.give("fleet/a", nil, objects...)
	m.written()
	m.accept()
	applied := 0
	m.eventually("some objects are applied", func() bool {
		for _, write := range m.written() {
			if strings.HasPrefix(write, "PATCH") {
				applied++
			}
		}
		return applied >= 20
	})
	m.stop()
	secrets, err := kube.New(m.config, m.namespace).Secrets()
	m.must(err)
	store, err := inventory.Open(ctx, secrets)
	m.must(err)
	live, err := m.client.CoreV1().ConfigMaps(m.space).List(ctx, metav1.ListOptions{LabelSelector: "fleet.periplus.dev/managed=true"})
	m.must(err)
	settled := 0
	for _, record := range store.Get("fleet/a").Records {
		if record.Settled() {
			settled++
		}
	}
	// Those whose answer was on its way are looked at by the next agent.
	if there := len(live.Items); there == 300 || settled < there-16 || settled < 4 {
		t.Errorf("%d of %d objects are known", settled, there)
	}
	m.start()
	m.ready("fleet/a")
}

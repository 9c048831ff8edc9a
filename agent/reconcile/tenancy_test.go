package reconcile_test

import (
	"strings"
	"testing"

	"github.com/periplus-fleet/periplus/agent/tenancy"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// The API server lets the agent act as every tenant, here even as anyone: the agent alone keeps tenants apart.
func TestNoBundleActsAsAnotherTenant(t *testing.T) {
	m := newMember(t)
	m.give("shop/a", &linkv1.Options{ServiceAccountName: "periplus-tenant-fleet"}, configMapYAML("one", "1"))
	m.accept()
	status := m.await("shop/a", linkv1.State_STATE_FAILED)
	if want := "tenants[namespace=shop,serviceAccountName=periplus-tenant-fleet]"; !strings.Contains(status.GetMessage(), want) {
		t.Errorf("message %q does not say %q", status.GetMessage(), want)
	}
	for _, write := range m.written() {
		if strings.Contains(write, "/configmaps") {
			t.Errorf("it was applied all the same: %s", write)
		}
	}
	m.bury("shop/a", &linkv1.Tombstone{})
	m.accept()
	m.gone("shop/a")
}

func TestWithdrawnAccountRemovesNothing(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"))
	m.accept()
	m.ready("fleet/a")
	m.tenants = tenancy.Accounts{}
	m.restart()
	m.bury("fleet/a", &linkv1.Tombstone{})
	m.accept()
	m.hub.wait(t, "the removal says why it cannot go on", func(l *listener) *linkv1.BundleStatus {
		status := l.statuses["fleet/a"]
		if strings.Contains(status.GetMessage(), "cannot remove") && strings.Contains(status.GetMessage(), "tenants[namespace=fleet") {
			return status
		}
		return nil
	})
	m.configMap("one")
}

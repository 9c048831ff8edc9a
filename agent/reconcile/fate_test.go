package reconcile_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

func rollback(after time.Duration) *linkv1.Options {
	return &linkv1.Options{OnFailure: "Rollback", HealthTimeout: durationpb.New(after), PruneBudgetObjects: 10}
}

func TestRollbackWhenTheAPIServerRefuses(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", rollback(time.Hour), configMapYAML("one", "1"))
	m.accept()
	m.ready("fleet/a")
	good := m.set.Entries["fleet/a"].GetRevision()
	broken := strings.ReplaceAll(deploymentYAML("app"), "containerPort: 80", "containerPort: 99999")
	m.give("fleet/a", rollback(time.Hour), configMapYAML("one", "2"), configMapYAML("more", "2"), broken)
	m.accept()
	failed := m.set.Entries["fleet/a"].GetRevision()
	back := func() {
		t.Helper()
		status := m.says("fleet/a", linkv1.State_STATE_ROLLED_BACK, "containerPort")
		if status.GetRolledBack() != failed || status.GetRevision() != failed {
			t.Errorf("status is %v", status)
		}
		m.eventually("the last good revision is back", func() bool {
			return m.hub.last("fleet/a").GetAppliedRevision() == good && m.valueOf("one") == "1" && !m.hasConfigMap("more")
		})
	}
	back()
	// It stays so, also for an agent that starts anew, and keeps what it went back to as it is.
	m.restart()
	back()
	m.patch(configMaps, "one", `{"data":{"key":"drifted"}}`)
	m.event("fleet/a", "drift-repaired")
	back()
	// A person may try again; it fails again.
	m.must(m.reconciler.Do(context.Background(), &linkv1.Command{Command: &linkv1.Command_Reconcile{Reconcile: &linkv1.Reconcile{Bundle: "fleet/a"}}}))
	m.event("fleet/a", "created")
	back()
	// Another revision ends it.
	m.give("fleet/a", rollback(time.Hour), configMapYAML("one", "3"))
	m.accept()
	if status := m.ready("fleet/a"); status.GetRolledBack() != "" || m.valueOf("one") != "3" {
		t.Errorf("status is %v", status)
	}
}

func TestRollbackAfterTime(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", rollback(time.Second), configMapYAML("one", "1"))
	m.give("fleet/held", &linkv1.Options{HealthTimeout: durationpb.New(time.Second)}, configMapYAML("held", "1"))
	// Without a revision to go back to there is nothing to do.
	m.give("fleet/first", rollback(100*time.Millisecond), deploymentYAML("first"))
	m.accept()
	m.ready("fleet/a")
	m.ready("fleet/held")
	m.give("fleet/a", rollback(time.Second), configMapYAML("one", "2"), deploymentYAML("slow"))
	m.give("fleet/held", &linkv1.Options{HealthTimeout: durationpb.New(time.Second)}, configMapYAML("held", "2"), deploymentYAML("hangs"))
	m.accept()
	m.says("fleet/a", linkv1.State_STATE_ROLLED_BACK, "slow")
	m.says("fleet/held", linkv1.State_STATE_FAILED, "not ready after 1s")
	m.says("fleet/first", linkv1.State_STATE_FAILED, "not ready after 100ms")
	m.eventually("it is back", func() bool { return m.valueOf("one") == "1" && !m.exists(deployments, "slow") })
	if m.valueOf("held") != "2" {
		t.Error("a bundle went back that did not say so")
	}
}

func TestAbortEndsAWait(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, optionDeployment("db", `test/wave: "1"`), optionMap("last", "1", `test/wave: "2"`))
	m.give("fleet/b", nil, hookYAML("migrate", "pre-install"), configMapYAML("after", "1"))
	m.accept()
	m.says("fleet/a", linkv1.State_STATE_PROGRESSING, "/db")
	m.says("fleet/b", linkv1.State_STATE_PROGRESSING, "migrate")
	for _, name := range []string{"fleet/a", "fleet/b"} {
		before := time.Now()
		m.must(m.reconciler.Do(context.Background(), &linkv1.Command{Command: &linkv1.Command_Abort{Abort: &linkv1.Abort{Bundle: name, Actor: "mo"}}}))
		m.says(name, linkv1.State_STATE_FAILED, "aborted by mo")
		if took := time.Since(before); took > time.Second {
			t.Errorf("the abort of %s took %s", name, took)
		}
	}
	m.restart()
	m.says("fleet/a", linkv1.State_STATE_FAILED, "aborted by mo")
	m.available("db")
	m.says("fleet/a", linkv1.State_STATE_FAILED, "aborted by mo")
	if m.hasConfigMap("last") || m.hasConfigMap("after") {
		t.Error("an aborted revision goes on")
	}
	m.must(m.reconciler.Do(context.Background(), &linkv1.Command{Command: &linkv1.Command_Reconcile{Reconcile: &linkv1.Reconcile{Bundle: "fleet/a"}}}))
	m.ready("fleet/a")
	m.give("fleet/b", nil, configMapYAML("after", "2"))
	m.accept()
	m.ready("fleet/b")
	if err := m.reconciler.Do(context.Background(), &linkv1.Command{Command: &linkv1.Command_Abort{Abort: &linkv1.Abort{Bundle: "fleet/b"}}}); err == nil {
		t.Error("a bundle that is ready is aborted")
	}
}

// last is what was told last of a bundle.
func (l *listener) last(bundle string) *linkv1.BundleStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.statuses[bundle]
}

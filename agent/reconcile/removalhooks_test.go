package reconcile_test

import (
	"fmt"
	"testing"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

func TestRemovalHooksOutliveTheirSet(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"), hookYAML("drain", "pre-delete"))
	m.accept()
	m.ready("fleet/a")
	// The agent is away while the bundle is removed and other sets follow: what they do not need is swept.
	m.stop()
	m.bury("fleet/a", &linkv1.Tombstone{})
	m.accept()
	for i := range 3 {
		m.give("fleet/b", nil, configMapYAML("two", fmt.Sprint(i)))
		m.accept()
	}
	m.start()
	m.job("drain", "")
	if !m.hasConfigMap("one") {
		t.Error("the object went before its hook was done")
	}
	m.says("fleet/a", linkv1.State_STATE_REMOVING, "hook Job.batch "+m.space+"/drain (pre-delete)")
	m.finish("drain", true)
	m.gone("fleet/a")
	if m.hasConfigMap("one") || !m.noJob("drain") {
		t.Error("something is left")
	}
}

func TestFailedRemovalHooks(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, configMapYAML("one", "1"), hookYAML("drain", "pre-delete"))
	m.give("fleet/b", nil, configMapYAML("two", "1"), hookYAML("goodbye", "post-delete"))
	m.accept()
	m.ready("fleet/a")
	m.ready("fleet/b")
	m.bury("fleet/a", &linkv1.Tombstone{})
	m.bury("fleet/b", &linkv1.Tombstone{})
	m.accept()
	m.job("drain", "")
	m.finish("drain", false)
	m.says("fleet/a", linkv1.State_STATE_FAILED, "hook pre-delete Job.batch drain failed")
	m.job("goodbye", "")
	m.finish("goodbye", false)
	m.event("fleet/b", "hook-failed")
	m.gone("fleet/b")
	if !m.hasConfigMap("one") {
		t.Error("the object went although its hook failed")
	}
	// The bundle comes back: what its hook left is in no way.
	m.give("fleet/a", nil, configMapYAML("one", "2"), hookYAML("drain", "pre-delete"))
	m.accept()
	m.ready("fleet/a")
	// An orphaned removal leaves all as it is.
	m.bury("fleet/a", &linkv1.Tombstone{Orphan: true})
	m.accept()
	m.gone("fleet/a")
	if !m.hasConfigMap("one") || m.noJob("drain") {
		t.Error("an orphaned object is gone")
	}
}

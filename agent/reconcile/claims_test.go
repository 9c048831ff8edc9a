package reconcile_test

import (
	"testing"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// hookMap is a ConfigMap that is a hook.
func hookMap(name, value, events string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", annotations: {helm.sh/hook: \"" + events + "\"}}\ndata: {key: \"" + value + "\"}\n"
}

func (m *member) valueOf(name string) any {
	m.t.Helper()
	return m.configMap(name).Object["data"].(map[string]any)["key"]
}

func TestTakerComesBeforeGiverLetsGo(t *testing.T) {
	m := newMember(t)
	m.give("fleet/giver", nil, configMapYAML("moves", "1"), configMapYAML("stays", "1"))
	m.accept()
	m.ready("fleet/giver")
	uid := m.configMap("moves").GetUID()
	m.give("fleet/taker", nil, configMapYAML("moves", "2"))
	m.accept()
	m.says("fleet/taker", linkv1.State_STATE_FAILED, "belongs to bundle fleet/giver")
	// The older keeps it, also over a restart, and repairs it.
	m.restart()
	m.says("fleet/taker", linkv1.State_STATE_FAILED, "belongs to bundle fleet/giver")
	m.ready("fleet/giver")
	m.patch(configMaps, "moves", `{"data":{"key":"drifted"}}`)
	m.event("fleet/giver", "drift-repaired")
	m.give("fleet/giver", nil, configMapYAML("stays", "1"))
	m.accept()
	m.ready("fleet/taker")
	m.ready("fleet/giver")
	if m.configMap("moves").GetUID() != uid || m.valueOf("moves") != "2" {
		t.Errorf("moves is %v", m.configMap("moves"))
	}
	m.eventually("the giver lets go", func() bool { return len(m.inventory.Get("fleet/giver").Records) == 1 })
	m.bury("fleet/giver", &linkv1.Tombstone{})
	m.accept()
	m.gone("fleet/giver")
	if m.configMap("moves").GetUID() != uid {
		t.Error("the giver's removal took what it had given")
	}
}

func TestHookAndObjectChangePlaces(t *testing.T) {
	m := newMember(t)
	// What a hook left becomes an object of the same bundle, and later of another one: it is never deleted.
	m.give("fleet/a", nil, configMapYAML("one", "1"), hookMap("settings", "hook", "pre-install"))
	m.accept()
	m.ready("fleet/a")
	uid := m.configMap("settings").GetUID()
	m.give("fleet/b", nil, configMapYAML("settings", "b"))
	m.accept()
	m.says("fleet/b", linkv1.State_STATE_FAILED, "belongs to bundle fleet/a")
	m.give("fleet/a", nil, configMapYAML("one", "2"))
	m.accept()
	m.ready("fleet/b")
	if m.configMap("settings").GetUID() != uid || m.valueOf("settings") != "b" {
		t.Errorf("settings is %v", m.configMap("settings"))
	}
	m.bury("fleet/a", &linkv1.Tombstone{})
	m.accept()
	m.gone("fleet/a")
	if m.configMap("settings").GetUID() != uid {
		t.Error("the removal of the hook's bundle took what another has now")
	}
	// An object becomes a hook: it is made anew, as hooks are, and counts as an object no more.
	m.give("fleet/b", nil, hookMap("settings", "hook", "pre-upgrade"), configMapYAML("two", "1"), hookYAML("slow", "pre-upgrade", `helm.sh/hook-weight: "5"`))
	m.accept()
	m.job("slow", "")
	m.restart()
	status := m.says("fleet/b", linkv1.State_STATE_PROGRESSING, "slow (pre-upgrade)")
	if status.GetCounts().GetFailed() != 0 || m.valueOf("settings") != "hook" {
		t.Errorf("the object that was is kept up beside the hook: %v", status)
	}
	m.finish("slow", true)
	status = m.ready("fleet/b")
	if m.valueOf("settings") != "hook" || status.GetCounts().GetObjects() != 1 {
		t.Errorf("settings is %v, status %v", m.configMap("settings"), status)
	}
	m.eventually("the object's record is gone", func() bool { return len(m.inventory.Get("fleet/b").Records) == 1 })
	// It never drifts.
	m.written()
	m.patch(configMaps, "settings", `{"data":{"key":"changed"}}`)
	m.patch(configMaps, "two", `{"data":{"key":"drifted"}}`)
	m.event("fleet/b", "drift-repaired")
	if m.valueOf("settings") != "changed" {
		t.Error("a hook's object was repaired")
	}
	// And back again.
	m.give("fleet/b", nil, configMapYAML("settings", "object"), configMapYAML("two", "1"))
	m.accept()
	m.ready("fleet/b")
	if m.valueOf("settings") != "object" {
		t.Errorf("settings is %v", m.configMap("settings"))
	}
}

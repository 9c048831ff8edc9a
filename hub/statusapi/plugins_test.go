package statusapi

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/hub/plugins/state"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/plugins/host"
)

func TestPlugins(t *testing.T) {
	r := newRig(t)
	if code, answer := r.call(t, http.MethodGet, "/api/v1/plugins", "admin-token", ""); code != http.StatusOK || answer["reported"] != nil {
		t.Errorf("before any report: got %d %v, want an empty list", code, answer)
	}
	decision, err := json.Marshal([]host.Status{
		{Name: "helm", Type: "renderer", State: host.StateReady, Calls: 7, Restarts: 1, P50: 1500 * time.Microsecond},
		{Name: "env", Type: "renderer", State: host.StateRefused, Message: "its program differs"},
	})
	if err == nil {
		err = r.store.PutWord(t.Context(), store.Word{Kind: state.Word, Decision: string(decision), Time: time.Now()})
	}
	if err != nil {
		t.Fatal(err)
	}
	_, answer := r.call(t, http.MethodGet, "/api/v1/plugins", "admin-token", "")
	items := answer["items"].([]any)
	if len(items) != 2 || items[0].(map[string]any)["calls"] != "7" || items[0].(map[string]any)["p50Ms"] != 1.5 {
		t.Errorf("got %v", items)
	}
	_, answer = r.call(t, http.MethodGet, "/api/v1/plugins/env", "admin-token", "")
	if diff := cmp.Diff([]any{"Refused: its program differs"}, answer["problems"]); diff != "" {
		t.Error(diff)
	}
	if _, answer = r.call(t, http.MethodGet, "/api/v1/plugins/helm", "admin-token", ""); len(answer["problems"].([]any)) != 0 {
		t.Errorf("a plugin without fault has problems: %v", answer)
	}
	if code, _ := r.call(t, http.MethodGet, "/api/v1/plugins/other", "admin-token", ""); code != http.StatusNotFound {
		t.Errorf("a plugin that is not declared: got %d, want 404", code)
	}
	for _, path := range []string{"/api/v1/plugins", "/api/v1/plugins/helm"} {
		if code, _ := r.call(t, http.MethodGet, path, "dev-token", ""); code != http.StatusForbidden {
			t.Errorf("%s: a user of one namespace got %d, want 403", path, code)
		}
	}
}

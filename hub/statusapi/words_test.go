package statusapi

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/rollout"
	"github.com/periplus-fleet/periplus/hub/store"
)

// TestWordsCountOnce sends a person's words twice, before and after they were carried out: the second must release nothing that
// comes later.
func TestWordsCountOnce(t *testing.T) {
	r := newRig(t)
	term, _, err := r.store.Lead(t.Context(), "test", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	words := func(kind string) int {
		t.Helper()
		known, err := r.store.Words(t.Context(), "team-a", kind)
		if err != nil {
			t.Fatal(err)
		}
		return len(known)
	}
	post := func(path, body string, want int) {
		t.Helper()
		if status, answer := r.call(t, "POST", "/api/v1/namespaces/team-a"+path, "admin-token", body); status != want {
			t.Fatalf("%s %s: %d %v", path, body, status, answer)
		}
	}
	hold := func(reason, message string) {
		t.Helper()
		var changes []store.Change
		for _, name := range []string{"one", "two"} {
			changes = append(changes, store.Change{ClusterUID: clusterUID("team-a", name), Bundle: delivery.Key("team-a/web"), Reason: &reason, Message: &message})
		}
		if err := r.store.Apply(t.Context(), term, changes); err != nil {
			t.Fatal(err)
		}
	}
	forget := func(kind, subject string) {
		t.Helper()
		if err := r.store.ForgetWord(t.Context(), "team-a", kind, subject); err != nil {
			t.Fatal(err)
		}
	}

	hold(rollout.ReasonRemovalHeld, "waits for a person: periplus confirm --cause commit:abc")
	confirm := `{"cause":"commit:abc"}`
	post(":confirm", confirm, http.StatusOK)
	post(":confirm", confirm, http.StatusOK)
	if got := words(store.WordConfirm); got != 1 {
		t.Errorf("two equal words before they are carried out are one, not %d", got)
	}
	hold("", "")
	forget(store.WordConfirm, "commit:abc")
	post(":confirm", confirm, http.StatusNotFound)
	if words(store.WordConfirm) != 0 {
		t.Error("a word that nothing waits for stays, and would release what comes later")
	}

	if _, err := r.store.NewEpoch(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, cluster := range []string{"", "one"} {
		recover := fmt.Sprintf(`{"cluster":%q,"decision":"accept"}`, cluster)
		post("/recovery", recover, http.StatusOK)
		post("/recovery", recover, http.StatusOK)
		if got := words(store.WordRecover); got != 1 {
			t.Errorf("two equal words about cluster %q are one, not %d", cluster, got)
		}
		forget(store.WordRecover, cluster)
	}
	if err := r.store.FinishRelearn(t.Context(), term, clusterUID("team-a", "one"), nil); err != nil {
		t.Fatal(err)
	}
	post("/recovery", `{"cluster":"one","decision":"accept"}`, http.StatusBadRequest)
	if words(store.WordRecover) != 0 {
		t.Error("a word about a cluster that is not relearned stays, and would decide about the next restore")
	}
}

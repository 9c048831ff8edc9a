package join_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAnExistingClusterJoins(t *testing.T) {
	w := newWorld(t)
	w.process("hub", w.hubKubeconfig(), "--store", "sqlite://"+w.file("store.db"))
	w.follow()

	w.install("join", "--expires-in", "1ms")
	log, kill := w.agent()
	w.says(log, "the join token has expired", "periplus cluster join")
	kill()

	w.replaceToken("periplus-not-a-token")
	log, kill = w.agent()
	w.says(log, "the join token is not known")
	kill()

	w.install("join")
	_, kill = w.agent()
	w.delivered("first")
	w.connected(true, patience)
	w.commit("second")
	w.delivered("second")
	kill()

	// Someone copied the token: the key that it was used with is not theirs.
	_, err := w.kubectl("-n", system, "delete", "secret", "periplus-agent-identity")
	w.must(err)
	log, kill = w.agent()
	w.says(log, "the join token is used up", "periplus cluster join")
	kill()

	w.install("join")
	log, kill = w.agent()
	w.says(log, "living identity", "periplus cluster rejoin")
	kill()

	w.install("rejoin")
	log, _ = w.agent()
	w.commit("third")
	w.delivered("third")

	// The revoked agent holds a token that was never used: it is no way back.
	w.install("rejoin")
	_, err = w.periplus("cluster", "revoke", "edge")
	w.must(err)
	w.connected(false, 25*time.Second)
	w.says(log, "the hub does not let this agent in", "the join token is not known")
	w.connected(false, time.Second)
	w.commit("fourth")

	// The running agent finds the new token by itself.
	w.install("rejoin")
	w.connected(true, patience)
	w.delivered("fourth")
	w.noTokenInLogs()
}

// replaceToken writes another token where the agent reads it.
func (w *world) replaceToken(text string) {
	w.t.Helper()
	_, err := w.kubectl("-n", system, "patch", "secret", "periplus-join", "-p", fmt.Sprintf(`{"stringData":{"token":%q}}`, text))
	w.must(err)
	w.tokens = append(w.tokens, text)
}

func (w *world) noTokenInLogs() {
	w.t.Helper()
	logs, err := filepath.Glob(w.file("logs", "*"))
	w.must(err)
	if len(logs) < 2 {
		w.t.Fatalf("no logs: %v", logs)
	}
	for _, log := range append(logs, w.hub.AuditLog(), w.member.AuditLog()) {
		data, err := os.ReadFile(log)
		w.must(err)
		for _, secret := range w.tokens {
			if strings.Contains(string(data), secret) {
				w.t.Errorf("%s holds a join token", filepath.Base(log))
			}
		}
	}
}

func ready(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}

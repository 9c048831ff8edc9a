// Package state carries the state of the hub's plugins through the store: the control role, which runs them, publishes it,
// the api role reads it, in whichever processes they are.
package state

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/plugins/host"
)

const (
	// Word under which the state is kept. It is no person's, but has the same way: written by one role, read by another.
	Word = "plugins"
	// publishEvery looks for a change; repeatEvery says that the process is alive.
	publishEvery = 5 * time.Second
	repeatEvery  = time.Minute
	// staleAfter means that nobody runs the plugins any more.
	staleAfter = 3 * time.Minute
)

// Writer is where the state is published.
type Writer interface {
	PutWord(ctx context.Context, word store.Word) error
}

// Reader is where it is read.
type Reader interface {
	Words(ctx context.Context, namespace, kind string) (map[string]store.Word, error)
}

// Publish writes the state when it changed, until ctx ends.
func Publish(ctx context.Context, to Writer, log *slog.Logger, list func() []host.Status) {
	ticker := time.NewTicker(publishEvery)
	defer ticker.Stop()
	var last string
	var written time.Time
	for {
		data, err := json.Marshal(list())
		now := time.Now()
		if err == nil && (string(data) != last || now.Sub(written) > repeatEvery) {
			if err = to.PutWord(ctx, store.Word{Kind: Word, Decision: string(data), Time: now}); err == nil {
				last, written = string(data), now
			}
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("cannot publish the state of the plugins", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Published is the state that the control role wrote last, and when. No plugins and no time: it never did.
func Published(ctx context.Context, from Reader) ([]host.Status, time.Time, error) {
	words, err := from.Words(ctx, "", Word)
	if err != nil {
		return nil, time.Time{}, err
	}
	said, ok := words[""]
	if !ok {
		return nil, time.Time{}, nil
	}
	var out []host.Status
	if err := json.Unmarshal([]byte(said.Decision), &out); err != nil {
		return nil, time.Time{}, fmt.Errorf("cannot read the state of the plugins: %w", err)
	}
	return out, said.Time, nil
}

// Problems of a plugin, for people; none is a plugin that is as it should be.
func Problems(status host.Status, reported, now time.Time) []string {
	var out []string
	if status.State != host.StateReady {
		out = append(out, fmt.Sprintf("%s: %s", status.State, status.Message))
	} else if status.Message != "" {
		out = append(out, "failed last: "+status.Message)
	}
	for _, condition := range status.Conditions {
		out = append(out, condition.Type+": "+condition.Message)
	}
	if age := now.Sub(reported); age > staleAfter {
		out = append(out, fmt.Sprintf("no hub process with the role control reported for %s", age.Round(time.Minute)))
	}
	return out
}

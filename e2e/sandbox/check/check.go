// Package check proves the sandbox's whole story without a person: what a commit says is what runs, whatever happens to it,
// to the hub or to what the hub keeps. It acts like a user (Git, kubectl, the periplus command) and like the world (it kills
// and restores), and believes nothing that the system says of itself: what was written where is counted from the members' own
// audit logs.
package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/periplus-fleet/periplus/e2e/sandbox"
)

// Config of a check.
type Config struct {
	// Sandbox to run in; its folder is emptied first.
	Sandbox sandbox.Config
	// Example is the folder of the fleet to use when Sandbox.Fleet is empty.
	Example string
	// Clusters, 2 to 8, instead of the number that the fleet declares; 0 leaves it.
	Clusters int
	// Only runs steps whose names begin so, besides bringing the fleet up.
	Only string
}

// step is one proof.
type step struct {
	name string
	// limit of the whole step.
	limit time.Duration
	run   func(ctx context.Context, w *world) error
}

// Steps in their order: each leaves the fleet as declared. The drills that may break most come late, and
// rights are judged by everything that was done.
func steps() []step {
	return []step{
		{"commits", 5 * time.Minute, commits},
		{"drift", 2 * time.Minute, drift},
		{"prune", time.Minute, prune},
		{"deny", time.Minute, deny},
		{"move", time.Minute, move},
		{"sealed", 2 * time.Minute, sealed},
		{"hooks", 2 * time.Minute, hooks},
		{"rollback", 2 * time.Minute, rollback},
		{"policy", 3 * time.Minute, everyPoint},
		{"rest", 3 * time.Minute, rest},
		{"upgrade", 3 * time.Minute, upgrade},
		{"add-cluster", 3 * time.Minute, addCluster},
		{"remove-cluster", 3 * time.Minute, removeCluster},
		{"hub-restart", 2 * time.Minute, hubRestart},
		{"hub-down", 2 * time.Minute, hubDown},
		{"restore-store", 4 * time.Minute, restoreStore},
		{"restore-projections", 2 * time.Minute, restoreProjections},
		{"restore-etcd", 4 * time.Minute, restoreEtcd},
		{"rights", time.Minute, rights},
	}
}

var errFailed = errors.New("the sandbox does not do what it should; see the lines that begin with FAIL")

// Run brings a new sandbox up, runs the steps and takes it down. The last line that it prints is the Result.
func Run(ctx context.Context, cfg Config) error {
	out := cfg.Sandbox.Out
	w := &world{cfg: cfg, out: out, members: map[string]*member{}}
	err := w.run(ctx)
	fmt.Fprintln(out, w.result.line())
	return err
}

func (w *world) run(ctx context.Context) error {
	if w.cfg.Clusters != 0 && (w.cfg.Clusters < 2 || w.cfg.Clusters > 8) {
		return &sandbox.Failure{What: fmt.Sprintf("%d clusters", w.cfg.Clusters), Do: "choose 2 to 8"}
	}
	if err := sandbox.Reset(ctx, w.cfg.Sandbox.Folder); err != nil {
		return err
	}
	w.example = w.cfg.Sandbox.Fleet == ""
	if w.example {
		w.cfg.Sandbox.Fleet = w.cfg.Example
	}
	w.cfg.Sandbox.Edit = w.adapt
	box, err := sandbox.Up(ctx, w.cfg.Sandbox)
	if err != nil {
		return err
	}
	w.box = box
	failed := !w.do(ctx, step{"up", 6 * time.Minute, up})
	if !failed {
		for _, s := range steps() {
			if !strings.HasPrefix(s.name, w.cfg.Only) {
				continue
			}
			failed = !w.do(ctx, s) || failed
			if ctx.Err() != nil {
				break
			}
		}
		w.measure()
	}
	down := box.Down(context.WithoutCancel(ctx))
	if down == nil {
		down = nothingLeft(w.cfg.Sandbox.Folder)
	}
	if down != nil {
		fmt.Fprintf(w.out, "FAIL\tsandbox/down\t%v\n", down)
		failed = true
	}
	if failed {
		return errFailed
	}
	return ctx.Err()
}

// do prints the verdict as `go test` does, and what the fleet was like when a step failed.
func (w *world) do(ctx context.Context, s step) bool {
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	started := time.Now()
	err := s.run(ctx, w)
	took := time.Since(started).Seconds()
	if err == nil {
		fmt.Fprintf(w.out, "ok  \tsandbox/%s\t%.1fs\n", s.name, took)
		return true
	}
	fmt.Fprintf(w.out, "FAIL\tsandbox/%s\t%.1fs\n    %s\n", s.name, took, strings.ReplaceAll(err.Error(), "\n", "\n    "))
	if state, err := w.box.State(context.WithoutCancel(ctx)); err == nil {
		if unsettled := state.Settled(""); unsettled != nil {
			fmt.Fprintf(w.out, "    the fleet is not as declared: %v\n", unsettled)
		}
	}
	fmt.Fprintf(w.out, "    logs: %s\n", w.cfg.Sandbox.Folder)
	return false
}

// nothingLeft proves that no process of the sandbox runs on.
func nothingLeft(folder string) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil // no /proc: Down's own word must do
	}
	absolute := sandbox.Config{Folder: folder}.Absolute()
	for _, entry := range entries {
		environ, err := os.ReadFile("/proc/" + entry.Name() + "/environ")
		if err == nil && strings.Contains(string(environ), "PERIPLUS_PIDFILE="+absolute+"/") {
			return fmt.Errorf("process %s of the sandbox runs on", entry.Name())
		}
	}
	return nil
}

// eventually asks every 50 ms until there is no error; at the end of ctx it says what was asked and the last error.
func eventually(ctx context.Context, what string, condition func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not in time: %s: %w", what, err)
		case <-tick.C:
		}
	}
}

func (w *world) say(format string, args ...any) { say(w.out, format, args...) }

func say(out io.Writer, format string, args ...any) { fmt.Fprintf(out, "    "+format+"\n", args...) }

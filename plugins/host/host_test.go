package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/periplus-fleet/periplus/plugins/host"
	"github.com/periplus-fleet/periplus/plugins/host/hosttest"
	"github.com/periplus-fleet/periplus/plugins/host/jail"
	"github.com/periplus-fleet/periplus/plugins/host/renderers"
	"github.com/periplus-fleet/periplus/plugins/sdk"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// TestMain serves the plugin where the host started this binary as one.
func TestMain(m *testing.M) {
	// An external program gets no arguments.
	external := len(os.Args) == 1 && os.Getenv("PERIPLUS_PLUGIN") != ""
	if external || len(os.Args) > 1 && os.Args[1] == "plugin" {
		sdk.Serve(sdk.Renderer(hosttest.Bad{}))
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "jail" {
		fmt.Fprintln(os.Stderr, jail.Enter(os.Args[2]))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// log is written by many goroutines.
type log struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

func bad(change func(*host.Declaration)) host.Declaration {
	declared := host.Declaration{Name: "bad", Type: "renderer", Command: []string{"/proc/self/exe", "plugin"}, Processes: 2}
	if change != nil {
		change(&declared)
	}
	return declared
}

// start starts one plugin, which ends with the test.
func start(t testing.TB, declared host.Declaration) (*host.Host, renderer.Renderer, *log) {
	t.Helper()
	return startWith(t, host.Config{}, declared)
}

func startWith(t testing.TB, cfg host.Config, declared host.Declaration) (*host.Host, renderer.Renderer, *log) {
	t.Helper()
	out := &log{}
	cfg.Types, cfg.Log = []host.Type{renderers.Type()}, slog.New(slog.NewJSONHandler(out, nil))
	h, err := host.Start(t.Context(), cfg, []host.Declaration{declared})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(context.Background()) })
	return h, renderers.New(h.Plugin(declared.Name)), out
}

// raced says that the test, and with it each plugin, runs under the race detector.
var raced bool

func TestMisbehaviour(t *testing.T) {
	for name, cfg := range confinements() {
		t.Run(name, func(t *testing.T) { testMisbehaviour(t, cfg) })
	}
}

func testMisbehaviour(t *testing.T, cfg host.Config) {
	cases := map[string]struct {
		reason  string
		path    string
		declare func(*host.Declaration)
		want    string
		killed  bool
	}{
		"Crash": {reason: "the panic is named", path: "crash", killed: true,
			want: "renderer(bad): crashed: panic: told to crash (exit status 2)"},
		"Exit": {reason: "so is the exit status", path: "exit", killed: true,
			want: "renderer(bad): crashed: exit status 3"},
		"Hang": {reason: "a call has a deadline", path: "hang", killed: true,
			declare: func(d *host.Declaration) { d.Timeout = 300 * time.Millisecond },
			want:    "renderer(bad): killed: it gave no answer within 300ms"},
		"Flood": {reason: "output is bounded", path: "flood", killed: true,
			want: "renderer(bad): killed: it flooded its output (more than 8 MiB, and then 1 MiB/s)"},
		"Print": {reason: "so is what is printed", path: "print", killed: true,
			want: "renderer(bad): killed: it flooded its output (more than 8 MiB, and then 1 MiB/s)"},
		"Big": {reason: "an answer is bounded, and the process may go on", path: "big",
			want: "renderer(bad): its answer is larger than 64 MiB"},
		"Hog": {reason: "memory is bounded", path: "hog", killed: true,
			declare: func(d *host.Declaration) { d.Memory = 256 << 20 },
			want:    "renderer(bad): crashed: out of memory (its limit is 256 MiB)"},
	}
	if raced {
		// These are about memory, most of which would be the detector's.
		for _, name := range []string{"Flood", "Print", "Big", "Hog"} {
			delete(cases, name)
		}
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h, bad, _ := startWith(t, cfg, bad(tc.declare))
			held := make(chan error)
			gate := &gate{}
			go func() {
				_, err := bad.Render(t.Context(), renderer.Request{Path: "wait", FS: gate})
				held <- err
			}()
			if name == "Hang" {
				// Its short deadline would end the other call too.
				gate.open()
			}
			_, err := bad.Render(t.Context(), renderer.Request{Path: tc.path})
			if err == nil || err.Error() != tc.want {
				t.Errorf("%s: got error %v, want %s", tc.reason, err, tc.want)
			}
			var failure *host.Error
			if !errors.As(err, &failure) || !failure.Transient() {
				t.Errorf("the error %v is not the plugin's fault", err)
			}
			gate.open()
			if err := <-held; err != nil {
				t.Errorf("a call held by another process failed: %v", err)
			}
			if _, err := bad.Render(t.Context(), renderer.Request{}); err != nil {
				t.Errorf("the next call failed: %v", err)
			}
			want := map[bool]uint64{true: 1, false: 0}[tc.killed]
			until(t, func() bool { return h.List()[0].Restarts == want })
			if status := h.List()[0]; status.Restarts != want || status.Failures != 1 || status.Calls != 3 || status.State != host.StateReady {
				t.Errorf("got status %+v, want %d restarts, 1 failure, 3 calls, Ready", status, want)
			}
		})
	}
}

// until polls for some seconds; what the test wants is then asserted, so that it says what it saw.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !done() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

// gate is a tree whose file "go" appears when it is opened.
type gate struct {
	mu     sync.Mutex
	opened bool
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opened = true
}

func (g *gate) Open(name string) (fs.File, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened {
		return fstest.MapFS{"go": &fstest.MapFile{}}.Open(name)
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// TestAPluginThatCannotBeReachedSaysWhy gives the socket a path that is longer than paths of sockets may be.
func TestAPluginThatCannotBeReachedSaysWhy(t *testing.T) {
	folder := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	_, bad, _ := startWith(t, host.Config{TempDir: folder}, bad(nil))
	_, err := bad.Render(t.Context(), renderer.Request{})
	if err == nil || !strings.Contains(err.Error(), "the path of its socket") || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("the reason is not told: %v", err)
	}
}

func TestErrorsSurvive(t *testing.T) {
	h, bad, _ := start(t, bad(nil))
	_, err := bad.Render(t.Context(), renderer.Request{Path: "refuse"})
	var refused *renderer.Error
	if !errors.As(err, &refused) || *refused != (renderer.Error{File: "a/b.yaml", Line: 7, Message: "is wrong"}) {
		t.Errorf("got %#v, want the *renderer.Error", err)
	}
	if want := "renderer(bad): while rendering: a/b.yaml:7: is wrong"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	_, err = bad.Render(t.Context(), renderer.Request{Path: "file", FS: fstest.MapFS{}, Values: map[string]any{"name": "none"}})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	if status := h.List()[0]; status.Failures != 0 {
		t.Errorf("mistakes in files count as failures of the plugin: %+v", status)
	}
}

func TestVersions(t *testing.T) {
	cases := map[string]struct {
		known  []host.Version
		want   host.Status
		reason string
	}{
		"Best":       {reason: "the highest of both", known: []host.Version{{Number: 1}, {Number: 2}}, want: host.Status{State: host.StateReady, TypeVersion: 1}},
		"Deprecated": {reason: "works and warns", known: []host.Version{{Number: 1, Deprecated: "v2.0"}}, want: host.Status{State: host.StateReady, TypeVersion: 1}},
		"None":       {reason: "says what both speak", known: []host.Version{{Number: 2}}, want: host.Status{State: host.StateRefused}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			out := &log{}
			h, err := host.Start(t.Context(), host.Config{Types: []host.Type{{Name: "renderer", Versions: tc.known}}, Log: slog.New(slog.NewJSONHandler(out, nil))},
				[]host.Declaration{bad(nil)})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close(context.Background())
			got := h.List()[0]
			if got.State != tc.want.State || got.TypeVersion != tc.want.TypeVersion {
				t.Errorf("%s: got %+v, want %+v", tc.reason, got, tc.want)
			}
			if name == "None" && got.Message != "it speaks versions [1] of the type renderer, the hub [2]" {
				t.Errorf("got message %q", got.Message)
			}
			deprecated := strings.Contains(out.String(), "deprecated")
			for _, condition := range got.Conditions {
				deprecated = deprecated && condition.Type == host.ConditionDeprecated
			}
			if want := name == "Deprecated"; deprecated != want {
				t.Errorf("got a warning: %v, want %v; log: %s", deprecated, want, out)
			}
		})
	}
}

func TestLog(t *testing.T) {
	_, bad, out := start(t, bad(nil))
	if _, err := bad.Render(t.Context(), renderer.Request{Path: "log"}); err != nil {
		t.Fatal(err)
	}
	want := `"level":"WARN","msg":"hello from the plugin","plugin":"bad","pluginType":"renderer","answer":42`
	until(t, func() bool { return strings.Contains(out.String(), want) })
	if !strings.Contains(out.String(), want) {
		t.Errorf("the log has no line with %s:\n%s", want, out)
	}
}

func TestBackOff(t *testing.T) {
	h, bad, _ := start(t, bad(func(d *host.Declaration) { d.Config = map[string]any{"crash": true} }))
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := bad.Render(ctx, renderer.Request{})
		cancel()
		if err == nil {
			t.Fatal("a plugin that crashes at its start answered")
		}
		if strings.Contains(err.Error(), "it is started again in") {
			if !strings.Contains(err.Error(), "panic: configured to crash") {
				t.Errorf("the error %q does not say why", err)
			}
			if status := h.List()[0]; status.State != host.StateRestarting || status.Restarts < 3 {
				t.Errorf("got status %+v, want Restarting", status)
			}
			return
		}
	}
	t.Error("it never backed off")
}

func TestDrain(t *testing.T) {
	h, bad, _ := start(t, bad(nil))
	gate := &gate{}
	held := make(chan error)
	go func() {
		_, err := bad.Render(t.Context(), renderer.Request{Path: "wait", FS: gate})
		held <- err
	}()
	until(t, func() bool { return h.List()[0].Held == 1 })
	closed := make(chan struct{})
	go func() {
		h.Close(context.Background())
		close(closed)
	}()
	until(t, func() bool { return h.List()[0].State == host.StateStopped })
	if _, err := bad.Render(t.Context(), renderer.Request{}); err == nil || err.Error() != "renderer(bad): the hub is stopping" {
		t.Errorf("a new call got %v", err)
	}
	gate.open()
	if err := <-held; err != nil {
		t.Errorf("the held call failed: %v", err)
	}
	<-closed
	if status := h.List()[0]; status.Processes != 0 || status.Restarts != 0 {
		t.Errorf("got status %+v, want no processes and no restarts", status)
	}
}

func TestDrainEndsInTime(t *testing.T) {
	h, bad, _ := start(t, bad(nil))
	held := make(chan error)
	go func() {
		_, err := bad.Render(context.Background(), renderer.Request{Path: "hang"})
		held <- err
	}()
	until(t, func() bool { return h.List()[0].Held == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.Close(ctx)
	if err := <-held; err == nil || err.Error() != "renderer(bad): the hub is stopping" {
		t.Errorf("got %v", err)
	}
}

func TestCancelledCall(t *testing.T) {
	h, bad, _ := start(t, bad(nil))
	ctx, cancel := context.WithCancel(t.Context())
	held := make(chan error)
	go func() {
		_, err := bad.Render(ctx, renderer.Request{Path: "hang"})
		held <- err
	}()
	until(t, func() bool { return h.List()[0].Held == 1 })
	cancel()
	if err := <-held; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if _, err := bad.Render(t.Context(), renderer.Request{}); err != nil {
		t.Error(err)
	}
	if status := h.List()[0]; status.Failures != 0 || status.Restarts != 0 {
		t.Errorf("a caller that leaves counts as a failure of the plugin: %+v", status)
	}
}

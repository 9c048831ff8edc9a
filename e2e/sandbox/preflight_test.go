package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ready makes a folder of binaries that look right, and a fleet.
func prepared(t *testing.T) Config {
	t.Helper()
	root := t.TempDir()
	cfg := Config{Folder: filepath.Join(root, "sandbox"), Bin: filepath.Join(root, "bin"), Fleet: filepath.Join(root, "fleet"), Out: io.Discard,
		Limits: Limits{MemoryMiB: 1, DiskMiB: 1}}
	for _, folder := range []string{cfg.Folder, cfg.Bin, filepath.Join(cfg.Fleet, "clusters")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(cfg.Fleet, "clusters", "a.yaml"), []byte("# none\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kube", "periplus-hub", "periplus-agent"} {
		script := "#!/bin/sh\necho broken >&2; exit 1\n"
		if err := os.WriteFile(filepath.Join(cfg.Bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
}

// Every failure is one line that says what to do, and leaves no process.
func TestUpFails(t *testing.T) {
	cases := map[string]struct {
		reason  string
		prepare func(t *testing.T, cfg *Config)
		want    []string
	}{
		"PortInUse": {reason: "a recorded port was taken by another program", prepare: func(t *testing.T, cfg *Config) {
			ports, err := loadPorts(cfg.path("ports.json"))
			if err != nil {
				t.Fatal(err)
			}
			listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", ports["hub link"]))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = listener.Close() })
		}, want: []string{"hub link", "in use", "end the program"}},
		"DiskFull":      {reason: "a full disk breaks etcd in ways that are hard to read", prepare: func(_ *testing.T, cfg *Config) { cfg.Limits.DiskMiB = 1 << 50 }, want: []string{"disk", "free some space"}},
		"NoMemory":      {reason: "the machine would swap or kill", prepare: func(_ *testing.T, cfg *Config) { cfg.Limits.MemoryMiB = 1 << 50 }, want: []string{"memory", "fewer clusters"}},
		"NoGit":         {reason: "the fleet repo is Git", prepare: func(t *testing.T, _ *Config) { t.Setenv("PATH", t.TempDir()) }, want: []string{"install git"}},
		"NoBinary":      {reason: "nothing was built", prepare: func(_ *testing.T, cfg *Config) { cfg.Bin = cfg.Folder }, want: []string{"kube is not there", "make build"}},
		"NoFleet":       {reason: "the folder does not exist", prepare: func(_ *testing.T, cfg *Config) { cfg.Fleet += "-not" }, want: []string{"cannot use the fleet repo", "FLEET="}},
		"NotAFleet":     {reason: "the repository declares nothing", prepare: func(_ *testing.T, cfg *Config) { cfg.Fleet = cfg.Bin }, want: []string{"no clusters/", "FLEET="}},
		"BrokenBinary":  {reason: "a part ends at start: its last words are shown", prepare: func(*testing.T, *Config) {}, want: []string{"cannot start etcd of the hub", "broken", "see "}},
		"AlreadyRuns":   {reason: "two supervisors would fight", prepare: occupied, want: []string{"runs already", "Ctrl-C"}},
		"FolderIsAFile": {reason: "state has nowhere to go", prepare: func(_ *testing.T, cfg *Config) { cfg.Folder = cfg.binary("kube") }, want: []string{"--dir"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := prepared(t)
			tc.prepare(t, &cfg)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			_, err := Up(ctx, cfg)
			if err == nil {
				t.Fatalf("%s: no error", tc.reason)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: the error does not say %q: %v", tc.reason, want, err)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has more than one line: %v", err)
			}
			if left := belonging(t, cfg.Folder); len(left) > 0 {
				t.Errorf("processes are left: %v", left)
			}
		})
	}
}

func occupied(t *testing.T, cfg *Config) {
	holder := &Sandbox{cfg: *cfg, steps: steps{out: io.Discard}}
	holder.cfg.Limits.DiskMiB = 1 << 50
	if err := holder.up(context.Background()); err == nil || holder.lock == nil {
		t.Fatalf("the first sandbox holds no lock: %v", err)
	}
	t.Cleanup(func() { _ = holder.Down(context.Background()) })
}

// belonging lists processes whose environment names the folder as the place of their pid file.
func belonging(t *testing.T, folder string) []string {
	t.Helper()
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, path := range environs {
		if data, err := os.ReadFile(path); err == nil && strings.Contains(string(data), "PERIPLUS_PIDFILE="+folder) {
			left = append(left, path)
		}
	}
	return left
}

func TestFailureIsOneLine(t *testing.T) {
	err := &Failure{What: "a", Do: "b", Err: oneLine(errors.Join(errors.New("c"), errors.New("d")))}
	if got, want := err.Error(), "a: c; d; b"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

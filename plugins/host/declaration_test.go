package host_test

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periplus-fleet/periplus/plugins/host"
	"github.com/periplus-fleet/periplus/plugins/host/renderers"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	sum := strings.Repeat("0", 64)
	cases := map[string]struct {
		declared host.Declaration
		want     string
	}{
		"WrongChecksum": {host.Declaration{Type: "renderer", Path: "program", SHA256: sum}, "has sha256 a8076d3d"},
		"NoChecksum":    {host.Declaration{Type: "renderer", Path: "program"}, "its sha256 must be the 64 hex digits"},
		"NoFile":        {host.Declaration{Type: "renderer", Path: "other", SHA256: sum}, "no such file"},
		"Outside":       {host.Declaration{Type: "renderer", Path: "../program", SHA256: sum}, "leads out of the plugins' folder"},
		"UnknownType":   {host.Declaration{Type: "gate", Command: []string{"/proc/self/exe", "plugin"}}, `its type "gate" is not one of [renderer]`},
		"Config": {host.Declaration{Type: "renderer", Command: []string{"/proc/self/exe", "plugin"}, Config: map[string]any{"refuse": true}},
			"config: refuse: the field is refused"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.declared.Name, tc.declared.Dir = "bad", dir
			h, refused, _ := start(t, tc.declared)
			_, err := refused.Render(t.Context(), renderer.Request{})
			if err == nil || !strings.HasPrefix(err.Error(), "renderer(bad): ") && name != "UnknownType" || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want %s", err, tc.want)
			}
			if status := h.List()[0]; status.State != host.StateRefused || !strings.Contains(status.Message, tc.want) {
				t.Errorf("got status %+v, want Refused: %s", status, tc.want)
			}
			if _, err := host.Start(t.Context(), host.Config{Types: []host.Type{renderers.Type()}, Strict: true, Log: slog.New(slog.DiscardHandler)},
				[]host.Declaration{tc.declared}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("strict: got error %v, want %s", err, tc.want)
			}
		})
	}
}

// TestExternal runs a program by path and checksum; what was checked is what runs, also after a crash.
func TestExternal(t *testing.T) {
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	for name, cfg := range confinements() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			program := filepath.Join(dir, "program")
			if err := os.WriteFile(program, data, 0o700); err != nil {
				t.Fatal(err)
			}
			h, external, _ := startWith(t, cfg, host.Declaration{Name: "external", Type: "renderer", Dir: dir, Path: "program",
				SHA256: hex.EncodeToString(sum[:]), Processes: 1})
			if state := h.List()[0]; state.State != host.StateReady {
				t.Fatalf("got %+v", state)
			}
			if err := os.Rename(program, program+".old"); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(program, []byte("#!/bin/sh\necho another program\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			if _, err := external.Render(t.Context(), renderer.Request{Path: "crash"}); err == nil {
				t.Error("it did not crash")
			}
			if _, err := external.Render(t.Context(), renderer.Request{}); err != nil {
				t.Errorf("after a crash, with another program at its path: %v", err)
			}
			if version := external.Version(); !strings.HasPrefix(version, "1+") || len(version) < 10 {
				t.Errorf("its version %q does not say what it is made of", version)
			}
		})
	}
}

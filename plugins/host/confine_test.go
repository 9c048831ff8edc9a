package host_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periplus-fleet/periplus/plugins/host"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// confinements that a system may allow.
func confinements() map[string]host.Config {
	return map[string]host.Config{
		"Namespaces": {},
		"Both":       {Jail: []string{"/proc/self/exe", "jail"}},
		"Jail":       {Jail: []string{"/proc/self/exe", "jail"}, NoNamespaces: true},
	}
}

func TestConfinement(t *testing.T) {
	for name, cfg := range confinements() {
		t.Run(name, func(t *testing.T) { testConfinement(t, cfg) })
	}
}

func testConfinement(t *testing.T, cfg host.Config) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	t.Setenv("PERIPLUS_TEST_SECRET", "s3cret")
	secret, shared := filepath.Join(t.TempDir(), "key"), filepath.Join(t.TempDir(), "shared")
	for _, file := range []string{secret, shared} {
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h, confined, _ := startWith(t, cfg, bad(func(d *host.Declaration) { d.Read = []string{shared} }))
	for _, condition := range h.List()[0].Conditions {
		t.Skipf("%s: %s", condition.Type, condition.Message)
	}
	_, open, _ := startWith(t, cfg, bad(func(d *host.Declaration) { d.Network = true }))
	ask := func(of renderer.Renderer, path string, values map[string]any) map[string]any {
		t.Helper()
		result, err := of.Render(t.Context(), renderer.Request{Path: path, Values: values})
		if err != nil {
			t.Fatal(err)
		}
		return result.Objects[0].Value
	}
	may := func(reason string, of renderer.Renderer, path string, values map[string]any, want bool) {
		t.Helper()
		if said := ask(of, path, values)["error"]; (said == "<nil>") != want {
			t.Errorf("%s: got %v, want it allowed: %v", reason, said, want)
		}
	}
	to := map[string]any{"address": listener.Addr().String()}
	may("the network", confined, "network", to, false)
	may("the network, declared", open, "network", to, true)
	if len(cfg.Jail) > 0 {
		may("the hub's files", confined, "local", map[string]any{"file": secret}, false)
		may("files that are declared", confined, "local", map[string]any{"file": shared}, true)
		may("writing files that are declared", confined, "write", map[string]any{"file": shared}, false)
		may("files of the system", confined, "local", map[string]any{"file": "/etc/passwd"}, true)
	}
	saw := ask(confined, "", nil)
	for _, name := range saw["environment"].([]any) {
		if name := name.(string); !strings.HasPrefix(name, "PLUGIN_") && !strings.HasPrefix(name, "PERIPLUS_PLUGIN") &&
			name != "TMPDIR" && name != "HOME" && name != "GOMEMLIMIT" {
			t.Errorf("the plugin sees the variable %s", name)
		}
	}
	folder := saw["folder"].(string)
	may("its own folder", confined, "write", map[string]any{"file": filepath.Join(folder, "file")}, true)
	if pid := saw["pid"]; pid != int64(1) && !cfg.NoNamespaces {
		t.Errorf("it is process %v among those that it sees, not the first", pid)
	}
	h.Close(t.Context())
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its folder %s is left behind: %v", folder, err)
	}
}

func TestFoldersOfAKilledHubAreRemoved(t *testing.T) {
	temp, err := os.MkdirTemp("", "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temp) })
	gone := exec.Command("/proc/self/exe", "-test.run=^$")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(temp, fmt.Sprintf("periplus-plugin-%d-1", gone.Process.Pid))
	used := filepath.Join(temp, fmt.Sprintf("periplus-plugin-%d-1", os.Getpid()))
	for _, folder := range []string{left, used} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	startWith(t, host.Config{TempDir: temp}, bad(nil))
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of a process that is gone is still there: %v", err)
	}
	if _, err := os.Stat(used); err != nil {
		t.Errorf("the folder of a living process is gone: %v", err)
	}
}

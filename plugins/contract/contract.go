// Package contract holds the tests that every plugin of a type must pass, whoever wrote it. They run the plugin's program
// as the hub would: confined, in processes of its own.
//
//	func TestContract(t *testing.T) {
//		contract.Test(t, contract.Plugin{Command: []string{"./environment"}, Fixture: os.DirFS("testdata/bundle")})
//	}
//
// For a program without such a test: make plugin-contract PLUGIN=path FIXTURE=folder.
package contract

import (
	"context"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/periplus-fleet/periplus/plugins/host"
	"github.com/periplus-fleet/periplus/plugins/host/decrypters"
	"github.com/periplus-fleet/periplus/plugins/host/notifiers"
	"github.com/periplus-fleet/periplus/plugins/host/renderers"
)

// Plugin under test.
type Plugin struct {
	// Command is the program, by its absolute path, and its arguments.
	Command []string
	// Config of its declaration.
	Config map[string]any
	// Network is whether its declaration asks for it.
	Network bool
	// Read are files and folders that its declaration lets it read.
	Read []string
	// Jail confines it as the hub does, see host.Config; without one it sees all files.
	Jail []string
	// Fixture is a bundle's folder that a renderer renders. Without it a renderer is tested with what it refuses only.
	Fixture fs.FS
	// Path of the request, relative to Fixture; "" is Fixture itself.
	Path string
	// Source that the bundle's configuration gives a renderer.
	Source map[string]any
	// Encrypted files by path, with their plaintext, for a decrypter that is configured to open them.
	Encrypted map[string]Secret
}

// Secret is an encrypted file and what it must become.
type Secret struct {
	Format    string
	Data      []byte
	Plaintext []byte
}

// types that there are contracts for.
func types() map[string]struct {
	typ  host.Type
	test func(*testing.T, Plugin, *host.Plugin)
} {
	type contract = struct {
		typ  host.Type
		test func(*testing.T, Plugin, *host.Plugin)
	}
	return map[string]contract{
		"renderer":  {renderers.Type(), testRenderer},
		"decrypter": {decrypters.Type(), testDecrypter},
		"notifier":  {notifiers.Type(), testNotifier},
	}
}

// Test runs the contract of each type that the plugin speaks.
func Test(t *testing.T, plugin Plugin) {
	spoken := 0
	for name, contract := range types() {
		started := start(t, plugin, contract.typ)
		status := started.List()[0]
		if status.State == host.StateRefused && strings.HasPrefix(status.Message, "it is no ") {
			continue
		}
		spoken++
		t.Run(name, func(t *testing.T) {
			if status.State != host.StateReady {
				t.Fatalf("the plugin is %s: %s", status.State, status.Message)
			}
			for _, condition := range status.Conditions {
				t.Logf("%s: %s", condition.Type, condition.Message)
			}
			t.Run("SaysWhatItIs", func(t *testing.T) {
				if status.Version == "" {
					t.Error("its version is empty: what it makes could not be told from what another version makes")
				}
				again := start(t, plugin, contract.typ).List()[0]
				if again.Version != status.Version {
					t.Errorf("one process says version %q, another %q", status.Version, again.Version)
				}
			})
			contract.test(t, plugin, started.Plugin(plugin.name()))
			t.Run("NeverFails", func(t *testing.T) {
				if status := started.List()[0]; status.Restarts > 0 || status.Failures > 0 {
					t.Errorf("it crashed, hung or flooded: %d restarts, %d failed calls, the last: %s", status.Restarts, status.Failures, status.Message)
				}
			})
			t.Run("StopsWhenAsked", func(t *testing.T) {
				began := time.Now()
				started.Close(context.Background())
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("its processes were killed after %s: they must end when the connection does", took.Round(time.Second))
				}
			})
		})
	}
	if spoken == 0 {
		t.Errorf("the plugin speaks none of the types renderer, decrypter and notifier in a version that the hub knows")
	}
}

func (p Plugin) name() string { return "plugin" }

// start starts the plugin, until the test ends.
func start(t *testing.T, plugin Plugin, typ host.Type) *host.Host {
	t.Helper()
	started, err := host.Start(t.Context(), host.Config{Types: []host.Type{typ}, Jail: plugin.Jail, Log: slog.New(slog.NewTextHandler(t.Output(), nil))},
		[]host.Declaration{{Name: plugin.name(), Type: typ.Name, Command: plugin.Command, Config: plugin.Config, Network: plugin.Network, Read: plugin.Read, Processes: 4}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { started.Close(context.Background()) })
	return started
}

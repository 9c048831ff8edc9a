package contract_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/periplus-fleet/periplus/plugins/contract"
	"github.com/periplus-fleet/periplus/plugins/host/jail"
	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
)

var (
	program = flag.String("plugin", "", "path of the plugin's program; the example's by default")
	fixture = flag.String("fixture", "", "folder of a bundle that a renderer renders")
	config  = flag.String("config", "", "YAML file with the configuration of its declaration")
	network = flag.Bool("network", false, "its declaration asks for the network")
)

// TestPlugin is the contract of any program; make plugin-contract runs it.
func TestPlugin(t *testing.T) {
	plugin := contract.Plugin{Network: *network}
	if *program == "" {
		plugin.Command, plugin.Fixture = example(t)
	} else {
		path, err := filepath.Abs(*program)
		if err != nil {
			t.Fatal(err)
		}
		plugin.Command = []string{path}
	}
	if *fixture != "" {
		plugin.Fixture = os.DirFS(*fixture)
	}
	if *config != "" {
		data, err := os.ReadFile(*config)
		if err != nil {
			t.Fatal(err)
		}
		documents, err := yamldoc.Parse(data)
		if err != nil || len(documents) != 1 {
			t.Fatalf("%s: want one document: %v", *config, err)
		}
		plugin.Config, _ = documents[0].Object()
	}
	plugin.Jail = []string{"/proc/self/exe", "jail"}
	contract.Test(t, plugin)
}

// TestMain confines where the host started this binary for it.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "jail" {
		fmt.Fprintln(os.Stderr, jail.Enter(os.Args[2]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// example builds the plugin that plugins/examples shows, as its author would.
func example(t *testing.T) ([]string, fs.FS) {
	t.Helper()
	const folder = "../examples/environment"
	out := filepath.Join(t.TempDir(), "environment")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", out, ".")
	build.Dir = folder
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the example: %v\n%s", err, said)
	}
	return []string{out}, os.DirFS(filepath.Join(folder, "testdata", "bundle"))
}

// Package command is periplus-sandbox's command line.
package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/periplus-fleet/periplus/e2e/sandbox"
	"github.com/periplus-fleet/periplus/e2e/sandbox/check"
)

// ErrUsage marks a mistake in the command line.
var ErrUsage = errors.New("see periplus-sandbox --help")

type options struct {
	dir, bin, fleet string
}

// New is the root command.
func New() *cobra.Command {
	root := &cobra.Command{Use: "periplus-sandbox", Short: "A whole fleet on one machine", SilenceErrors: true, SilenceUsage: true}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w (%w)", err, ErrUsage) })
	root.AddCommand(run(), checkCommand(), reset(), providers())
	return root
}

func (o *options) flags(c *cobra.Command, dir string) {
	c.Flags().StringVar(&o.dir, "dir", dir, "folder of all state")
	c.Flags().StringVar(&o.bin, "bin", beside(), "folder of the binaries (default: beside this one)")
}

// quiet says where a library's log goes, as it warns with a stack when nobody has. The sandbox's parts have logs of their own.
func quiet() { ctrl.SetLogger(logr.Discard()) }

func beside() string {
	if self, err := os.Executable(); err == nil {
		return filepath.Dir(self)
	}
	return "bin"
}

func (o *options) config(out io.Writer) sandbox.Config {
	fleet := o.fleet
	if fleet == "" {
		// The example lies beside bin/ in a checkout.
		fleet = filepath.Join(o.bin, "..", "examples", "fleet")
	}
	return sandbox.Config{Folder: absolute(o.dir), Bin: absolute(o.bin), Fleet: local(fleet), Out: out}
}

// absolute makes a path mean the same to the parts, which run in folders of their own.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// local makes the path of a folder absolute, and leaves a Git URL alone.
func local(fleet string) string {
	if _, err := os.Stat(fleet); err == nil {
		return absolute(fleet)
	}
	return fleet
}

func run() *cobra.Command {
	var o options
	var once bool
	c := &cobra.Command{Use: "run", Short: "Start a fleet, or resume one; Ctrl-C stops it and keeps its state", Args: cobra.NoArgs,
		Example: "  periplus-sandbox run --fleet https://git.example.com/fleet.git",
		RunE: func(c *cobra.Command, _ []string) error {
			quiet()
			return sandbox.Run(c.Context(), o.config(c.OutOrStdout()), once)
		}}
	o.flags(c, ".sandbox")
	c.Flags().StringVar(&o.fleet, "fleet", "", "Git URL or folder of the fleet repo, at the first start (default: the example)")
	c.Flags().BoolVar(&once, "once", false, "stop when everything is ready; exit 1 if it does not become ready")
	return c
}

func checkCommand() *cobra.Command {
	var o options
	var clusters int
	var only string
	c := &cobra.Command{Use: "check", Short: "Prove the whole story without a person; the last line is one JSON object", Args: cobra.NoArgs,
		Example: "  periplus-sandbox check --clusters 5",
		RunE: func(c *cobra.Command, _ []string) error {
			quiet()
			cfg := o.config(c.OutOrStdout())
			if o.fleet == "" {
				cfg.Fleet = "" // the check's own steps know the example; another fleet is only brought up
			}
			return check.Run(c.Context(), check.Config{Sandbox: cfg, Example: filepath.Join(absolute(o.bin), "..", "examples", "fleet"), Clusters: clusters, Only: only})
		}}
	o.flags(c, ".sandbox-check")
	c.Flags().StringVar(&o.fleet, "fleet", "", "Git URL or folder of the fleet repo (default: the example)")
	c.Flags().IntVar(&clusters, "clusters", 0, "2 to 8 clusters instead of those that the fleet declares")
	c.Flags().StringVar(&only, "only", "", "run only steps whose name begins so, after the fleet is ready")
	return c
}

func reset() *cobra.Command {
	var o options
	c := &cobra.Command{Use: "reset", Short: "Forget a sandbox's state", Args: cobra.NoArgs, Example: "  periplus-sandbox reset",
		RunE: func(c *cobra.Command, _ []string) error { return sandbox.Reset(c.Context(), absolute(o.dir)) }}
	o.flags(c, ".sandbox")
	return c
}

// providers is for the supervisor: Cluster API's controllers with the local provider.
func providers() *cobra.Command {
	var o options
	c := &cobra.Command{Use: "providers", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return sandbox.Providers(c.Context(), o.config(c.OutOrStdout()))
		}}
	o.flags(c, ".sandbox")
	return c
}

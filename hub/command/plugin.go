package command

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/periplus-fleet/periplus/hub/plugins"
)

// pluginCommand is what the hub starts itself as, to serve a built-in plugin.
func pluginCommand() *cobra.Command {
	return &cobra.Command{
		Use: "plugin NAME", Short: "Serve a built-in plugin; the hub starts this itself", Hidden: true, Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return plugins.Serve(args[0], args[1:]...) },
	}
}

// pluginProgram is how the hub starts itself as a plugin: the program that runs, whatever lies at its path by now.
func pluginProgram() []string {
	const running = "/proc/self/exe"
	if _, err := os.Stat(running); err == nil {
		return []string{running, "plugin"}
	}
	return []string{os.Args[0], "plugin"}
}

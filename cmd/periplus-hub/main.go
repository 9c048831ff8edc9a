// Command periplus-hub is the hub of a fleet; see package hub.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/periplus-fleet/periplus/hub/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command.New(version()).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "periplus-hub:", err)
		os.Exit(1)
	}
}

// version is what go build knows of the module and its commit.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

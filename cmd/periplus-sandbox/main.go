// Command periplus-sandbox runs a whole fleet on one machine: for trying it out, and to prove that it works.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/periplus-fleet/periplus/e2e/sandbox/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := command.New().ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "periplus-sandbox:", err)
	}
	switch {
	case err == nil:
		os.Exit(0)
	case errors.Is(err, command.ErrUsage):
		os.Exit(2)
	default:
		os.Exit(1)
	}
}

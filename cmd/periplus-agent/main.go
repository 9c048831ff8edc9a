// Command periplus-agent is the agent of one member cluster; see package agent.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/periplus-fleet/periplus/agent"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	config, err := agent.ParseFlags(os.Args[1:], os.Getenv, os.Stderr)
	if err == nil {
		err = agent.Run(ctx, config)
	}
	stop()
	os.Exit(agent.ExitCode(err, func(err error) { fmt.Fprintln(os.Stderr, "periplus-agent:", err) }))
}

// Command profiled is the agent with profiles: at its end it writes cpu, heap and allocs, named by its pid, into the folder
// that PERIPLUS_PROFILE names, for `go tool pprof`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"syscall"

	"github.com/periplus-fleet/periplus/agent"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv("PERIPLUS_PROFILE")); err != nil {
		fmt.Fprintln(os.Stderr, "profiled:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, folder string) error {
	config, err := agent.ParseFlags(os.Args[1:], os.Getenv, os.Stderr)
	if err != nil {
		return err
	}
	cpu, err := create(folder, "cpu")
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	// What is alive is asked for while the agent still is.
	ended := make(chan error, 1)
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	go func() { ended <- agent.Run(running, config) }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		runtime.GC()
		err = errors.Join(write(folder, "heap"), write(folder, "allocs"))
		end()
		err = errors.Join(err, <-ended)
	}
	pprof.StopCPUProfile()
	return errors.Join(err, cpu.Close())
}

func write(folder, profile string) error {
	file, err := create(folder, profile)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup(profile).WriteTo(file, 0), file.Close())
}

func create(folder, profile string) (*os.File, error) {
	return os.Create(filepath.Join(folder, fmt.Sprintf("%d-%s.prof", os.Getpid(), profile)))
}

package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/periplus-fleet/periplus/cmd/periplus/output"
)

// Env is what a command runs with.
type Env struct {
	Options *Options
	Format  *string
}

// Open connects and makes the printer for one run of a command.
func (e Env) Open(cmd *cobra.Command) (context.Context, *Client, *output.Printer, error) {
	printer, err := e.Printer(cmd)
	if err != nil {
		return nil, nil, nil, err
	}
	hub, err := e.Options.New(cmd.Context())
	if err != nil {
		return nil, nil, nil, err
	}
	return cmd.Context(), hub, printer, nil
}

// Printer of the command's streams.
func (e Env) Printer(cmd *cobra.Command) (*output.Printer, error) {
	printer, err := output.New(cmd.OutOrStdout(), cmd.ErrOrStderr(), *e.Format)
	if err != nil {
		return nil, Usage("%v", err)
	}
	return printer, nil
}

// Exit codes of the command.
const (
	ExitFailed      = 1
	ExitUsage       = 2
	ExitNotSignedIn = 4
	ExitPending     = 8
)

type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

// Usage is a mistake in how the command was called.
func Usage(format string, args ...any) error {
	return &exitError{ExitUsage, fmt.Sprintf(format, args...)}
}

// Pending says that what was waited for has not come yet.
func Pending(format string, args ...any) error {
	return &exitError{ExitPending, fmt.Sprintf(format, args...)}
}

// Exit ends the command with a code and says nothing more.
func Exit(code int) error { return &exitError{code, ""} }

// WithExit gives an error an exit code.
func WithExit(code int, err error) error { return &exitError{code, err.Error()} }

// ExitCode of an error.
func ExitCode(err error) int {
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	case errors.Is(err, ErrNotSignedIn):
		return ExitNotSignedIn
	default:
		return ExitFailed
	}
}

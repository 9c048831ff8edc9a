// Package plugin shows the hub's plugins.
package plugin

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/output"
)

// Command is `periplus plugin`.
func Command(env client.Env, now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{Use: "plugin", Short: "The hub's plugins: renderers, decrypters, notifiers",
		Example: "  periplus plugin list\n  periplus plugin check helm"}
	cmd.AddCommand(list(env, now), check(env))
	return cmd
}

func list(env client.Env, now func() time.Time) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Plugins with their versions, state, restarts, calls and latency", Args: cobra.NoArgs, Example: "  periplus plugin list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			answer := &statusv1.ListPluginsResponse{}
			if err := hub.Get(ctx, "plugins", nil, answer); err != nil {
				return err
			}
			if done, err := printer.Message(answer); done || err != nil {
				return err
			}
			var rows [][]string
			for _, one := range answer.GetItems() {
				rows = append(rows, row(one))
			}
			if err := printer.Table([]string{"NAME", "TYPE", "VERSION", "STATE", "PROCESSES", "RESTARTS", "CALLS", "FAILURES", "P50", "P99", "SOURCE"}, rows); err != nil {
				return err
			}
			if answer.GetReported() == nil {
				printer.Hint("no hub process with the role control has reported its plugins yet")
				return nil
			}
			if name := faulty(answer.GetItems()); name != "" {
				printer.Hint("reported %s ago; 'periplus plugin check %s' says what is wrong", output.Age(answer.GetReported(), now()), name)
			}
			return nil
		},
	}
}

func row(one *statusv1.Plugin) []string {
	version := output.Dash(one.GetVersion())
	if one.GetTypeVersion() > 0 {
		version += fmt.Sprintf(" (%s v%d)", one.GetType(), one.GetTypeVersion())
	}
	state := one.GetState()
	for _, condition := range one.GetConditions() {
		state += "," + condition.GetType()
	}
	return []string{one.GetName(), one.GetType(), version, state, fmt.Sprintf("%d/%d", one.GetProcesses(), one.GetLimit()),
		strconv.FormatUint(one.GetRestarts(), 10), strconv.FormatUint(one.GetCalls(), 10), strconv.FormatUint(one.GetFailures(), 10),
		latency(one, one.GetP50Ms()), latency(one, one.GetP99Ms()), one.GetSource()}
}

// latency of a plugin that was called.
func latency(one *statusv1.Plugin, milliseconds float64) string {
	if one.GetCalls() == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1fms", milliseconds)
}

// faulty names the first plugin that has something wrong.
func faulty(items []*statusv1.Plugin) string {
	for _, one := range items {
		if len(one.GetProblems()) > 0 {
			return one.GetName()
		}
	}
	return ""
}

func check(env client.Env) *cobra.Command {
	return &cobra.Command{
		Use: "check [NAME]", Short: "Say what is wrong with a plugin, or with any; fails if something is", Args: cobra.MaximumNArgs(1),
		Example: "  periplus plugin check\n  periplus plugin check helm",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			answer := &statusv1.ListPluginsResponse{}
			var shown proto.Message = answer
			if len(args) > 0 {
				one := &statusv1.Plugin{}
				err = hub.Get(ctx, "plugins/"+url.PathEscape(args[0]), nil, one)
				answer.Items, shown = []*statusv1.Plugin{one}, one
			} else if err = hub.Get(ctx, "plugins", nil, answer); err == nil && answer.GetReported() == nil {
				err = client.Pending("no hub process with the role control has reported its plugins yet")
			}
			if err != nil {
				return err
			}
			done, err := printer.Message(shown)
			if err != nil {
				return err
			}
			return report(printer, answer.GetItems(), !done)
		},
	}
}

// report prints the problems, and is an error where there are any.
func report(printer *output.Printer, items []*statusv1.Plugin, print bool) error {
	faulty := 0
	for _, one := range items {
		lines := one.GetProblems()
		if len(lines) > 0 {
			faulty++
		} else {
			lines = []string{"ok"}
		}
		for _, line := range lines {
			if print {
				fmt.Fprintf(printer.Out, "%s\t%s\n", one.GetName(), line)
			}
		}
	}
	if faulty > 0 {
		return fmt.Errorf("%d of %d plugins are not as they should be", faulty, len(items))
	}
	return nil
}

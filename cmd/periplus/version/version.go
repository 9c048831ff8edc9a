// Package version shows the versions of this command and of the hub.
package version

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
)

// Command is `periplus version`.
func Command(env client.Env) *cobra.Command {
	var own bool
	cmd := &cobra.Command{
		Use: "version", Short: "Versions of this command and of the hub", Args: cobra.NoArgs, Example: "  periplus version --client",
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintf(cmd.OutOrStdout(), "client\t%s\n", build())
			if own {
				return nil
			}
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			answer := &statusv1.Version{}
			if err := hub.Get(ctx, "version", nil, answer); err != nil {
				return err
			}
			fmt.Fprintf(printer.Out, "hub\t%s\nfleet\t%s\nepoch\t%s\n", answer.GetVersion(), answer.GetFleetId(), answer.GetEpoch())
			return nil
		},
	}
	cmd.Flags().BoolVar(&own, "client", false, "only this command's version")
	return cmd
}

func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

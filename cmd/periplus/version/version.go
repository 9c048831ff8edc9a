// Package version shows the versions of this command and of the hub.
package version

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/structpb"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/output"
)

// Command is `periplus version`.
func Command(env client.Env) *cobra.Command {
	var own bool
	cmd := &cobra.Command{
		Use: "version", Short: "Versions of this command and of the hub", Args: cobra.NoArgs, Example: "  periplus version --client",
		RunE: func(cmd *cobra.Command, _ []string) error {
			printer, err := env.Printer(cmd)
			if err != nil {
				return err
			}
			if printer.Format == "" {
				fmt.Fprintf(printer.Out, "client\t%s\n", build())
			}
			if own {
				_, err := show(printer, nil)
				return err
			}
			ctx, hub, _, err := env.Open(cmd)
			if err != nil {
				return err
			}
			answer := &statusv1.Version{}
			if err := hub.Get(ctx, "version", nil, answer); err != nil {
				return err
			}
			if done, err := show(printer, answer); done || err != nil {
				return err
			}
			fmt.Fprintf(printer.Out, "hub\t%s\nfleet\t%s\nepoch\t%s\n", answer.GetVersion(), answer.GetFleetId(), answer.GetEpoch())
			return nil
		},
	}
	cmd.Flags().BoolVar(&own, "client", false, "only this command's version")
	return cmd
}

// show prints both versions when a format was asked for; hub is nil where it was not.
func show(printer *output.Printer, hub *statusv1.Version) (bool, error) {
	both := map[string]any{"client": build()}
	if hub != nil {
		both["hub"] = map[string]any{"version": hub.GetVersion(), "commit": hub.GetCommit(), "fleetId": hub.GetFleetId(), "epoch": hub.GetEpoch()}
	}
	message, err := structpb.NewStruct(both)
	if err != nil {
		return true, err
	}
	return printer.Message(message)
}

func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

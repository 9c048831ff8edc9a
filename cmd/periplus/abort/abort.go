// Package abort ends what a bundle waits for on a cluster.
package abort

import (
	"fmt"

	"github.com/spf13/cobra"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/live"
)

// Command is `periplus abort`.
func Command(env client.Env) *cobra.Command {
	var target live.Target
	cmd := &cobra.Command{
		Use: "abort BUNDLE -c CLUSTER", Short: "End at once what a bundle waits for on a cluster: a hook, the health of a wave", Args: cobra.ExactArgs(1),
		Long: `abort has the cluster's agent give up what the bundle's revision waits for. The bundle is Failed then, with your name as the
reason; what is applied stays, and drift is still repaired. A new revision starts anew.`,
		Example: "  periplus abort model-x -c prod-eu",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := target.Read(cmd, args); err != nil {
				return err
			}
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			answer := &statusv1.AbortDeliveryResponse{}
			if err := hub.Post(ctx, target.Path(hub.Namespace)+":abort", nil, answer); err != nil {
				return err
			}
			if done, err := printer.Message(answer); done || err != nil {
				return err
			}
			fmt.Fprintf(printer.Out, "aborted %s on %s\n", target.Bundle, target.Cluster)
			return nil
		},
	}
	target.Bind(cmd)
	return cmd
}

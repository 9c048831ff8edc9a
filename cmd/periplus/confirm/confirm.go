// Package confirm releases what waits for a person's word.
package confirm

import (
	"fmt"

	"github.com/spf13/cobra"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
)

// Command is `periplus confirm`.
func Command(env client.Env) *cobra.Command {
	var cluster, cause, hold string
	cmd := &cobra.Command{
		Use: "confirm [BUNDLE -c CLUSTER] [--cause CAUSE]", Short: "Release a prune or removals that wait for a person", Args: cobra.MaximumNArgs(1),
		Example: "  periplus get holds\n  periplus confirm model-x -c prod-eu\n  periplus confirm --cause commit:3f2a9c1e8b7d6a5f4c3b2a1908f7e6d5c4b3a291",
		RunE: func(cmd *cobra.Command, args []string) error {
			request := &statusv1.ConfirmRequest{Cluster: cluster, Hold: hold, Cause: cause}
			switch {
			case cause == "" && (len(args) == 0 || cluster == ""):
				return client.Usage("confirm needs a bundle and --cluster, or --cause; 'periplus get holds' lists what waits")
			case cause != "" && (len(args) > 0 || cluster != ""):
				return client.Usage("--cause goes without a bundle and --cluster")
			case len(args) > 0:
				request.Bundle = args[0]
			}
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			answer := &statusv1.ConfirmResponse{}
			if err := hub.Post(ctx, "namespaces/"+hub.Namespace+":confirm", request, answer); err != nil {
				return err
			}
			if done, err := printer.Message(answer); done || err != nil {
				return err
			}
			fmt.Fprintf(printer.Out, "released %d\n", answer.GetReleased())
			return nil
		},
	}
	cmd.Flags().StringVarP(&cluster, "cluster", "c", "", "the cluster whose prune waits")
	cmd.Flags().StringVar(&hold, "hold", "", "only if what waits is still this hold")
	cmd.Flags().StringVar(&cause, "cause", "", "release every removal of this cause")
	return cmd
}

// Package recover decides, after a restore, about bundles that run on clusters and that nobody declares.
package recover

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/output"
)

// Command is `periplus recover`.
func Command(env client.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "recover", Short: "After a restore: see and decide what nobody declares",
		Long: `After a restore of the hub's store each cluster is relearned: its agent keeps repairing drift, removes nothing, and reports
what it runs. Relearning ends by itself when nothing would be removed. Otherwise these commands decide.`,
		Example: "  periplus recover plan\n  periplus recover accept -c prod-eu\n  periplus recover orphan",
	}
	cmd.AddCommand(
		verb(env, "plan", "Show which clusters are relearned and what on them nobody declares"),
		verb(env, "accept", "Remove what nobody declares"),
		verb(env, "orphan", "Leave the objects of what nobody declares, and forget it"))
	return cmd
}

func verb(env client.Env, name, short string) *cobra.Command {
	var cluster string
	cmd := &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs, Example: "  periplus recover " + name + " -c prod-eu",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			answer := &statusv1.RecoverPlanResponse{}
			path := "namespaces/" + hub.Namespace + "/recovery"
			if name == "plan" {
				err = hub.Get(ctx, path, url.Values{"cluster": {cluster}}, answer)
			} else {
				err = hub.Post(ctx, path, &statusv1.RecoverRequest{Cluster: cluster, Decision: name}, answer)
			}
			if err != nil {
				return err
			}
			if done, err := printer.Message(answer); done || err != nil {
				return err
			}
			if len(answer.GetClusters()) == 0 {
				fmt.Fprintln(printer.Out, "No cluster is being relearned.")
				return nil
			}
			var rows [][]string
			for _, c := range answer.GetClusters() {
				rows = append(rows, []string{c.GetCluster(), c.GetState(), output.Dash(strings.Join(c.GetUnclaimed(), ", ")), c.GetMessage()})
			}
			return printer.Table([]string{"CLUSTER", "STATE", "UNCLAIMED", "MESSAGE"}, rows)
		},
	}
	cmd.Flags().StringVarP(&cluster, "cluster", "c", "", "only this cluster (default: all of the namespace)")
	return cmd
}

// Package history shows what happened, newest first.
package history

import (
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/output"
)

// Command is `periplus history`.
func Command(env client.Env, now func() time.Time) *cobra.Command {
	var cluster, bundle, kind string
	var limit int
	cmd := &cobra.Command{
		Use: "history", Short: "What changed on which cluster, when and because of what, newest first", Args: cobra.NoArgs,
		Example: "  periplus history -c prod-eu\n  periplus history -b model-x --type Held",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 1000 {
				return client.Usage("--limit %d: want 1 to 1000", limit)
			}
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			query := url.Values{"namespace": {hub.Namespace}, "limit": {strconv.Itoa(limit)}}
			for field, value := range map[string]string{"cluster": cluster, "bundle": bundle, "type": kind} {
				if value != "" {
					query.Add("filter", field+"="+value)
				}
			}
			answer := &statusv1.ListHistoryResponse{}
			if err := hub.Get(ctx, "history", query, answer); err != nil {
				return err
			}
			if done, err := printer.Message(answer); done || err != nil {
				return err
			}
			var rows [][]string
			for _, e := range answer.GetItems() {
				rows = append(rows, []string{output.Age(e.GetTime(), now()), output.Dash(e.GetCluster()), output.Dash(e.GetBundle()), e.GetType(),
					output.Short(e.GetFrom()), output.Short(e.GetTo()), output.Short(e.GetCommit()), output.Dash(e.GetActor()), output.Dash(e.GetMessage())})
			}
			return printer.Table([]string{"AGE", "CLUSTER", "BUNDLE", "EVENT", "FROM", "TO", "COMMIT", "ACTOR", "MESSAGE"}, rows)
		},
	}
	cmd.Flags().StringVarP(&cluster, "cluster", "c", "", "only of this cluster")
	cmd.Flags().StringVarP(&bundle, "bundle", "b", "", "only of this bundle")
	cmd.Flags().StringVar(&kind, "type", "", "only events of this type, such as Assigned, Held, Ready, Failed, DriftRepaired")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many")
	return cmd
}

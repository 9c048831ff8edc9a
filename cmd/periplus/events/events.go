// Package events shows what a cluster tells of a bundle's objects and of what they own.
package events

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/live"
	"github.com/periplus-fleet/periplus/cmd/periplus/output"
)

// Command is `periplus events`.
func Command(env client.Env, now func() time.Time) *cobra.Command {
	var target live.Target
	var limit int32
	cmd := &cobra.Command{
		Use: "events BUNDLE [KIND/NAME] -c CLUSTER", Short: "Show events of a bundle's objects on a cluster and of what they own, the latest last", Args: cobra.RangeArgs(1, 2),
		Example: "  periplus events model-x -c prod-eu\n  periplus events model-x job/train -c prod-eu --limit 20",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := target.Read(cmd, args); err != nil {
				return err
			}
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			answer, query := &statusv1.LiveEvents{}, target.Query()
			query.Set("limit", strconv.Itoa(int(limit)))
			if err := hub.Get(ctx, target.Path(hub.Namespace)+"/live/events", query, answer); err != nil {
				return err
			}
			if done, err := printer.Message(answer); done || err != nil {
				return err
			}
			var rows [][]string
			for _, e := range answer.GetItems() {
				rows = append(rows, []string{output.Age(e.GetLast(), now()), e.GetType(), e.GetReason(), live.Ref(e.GetObject()), fmt.Sprint(e.GetCount()), e.GetMessage()})
			}
			if len(rows) == 0 {
				printer.Hint("no events: a cluster keeps them for an hour")
				return nil
			}
			if answer.GetTruncated() {
				printer.Hint("there are more: raise --limit, or name an object")
			}
			return printer.Table([]string{"AGE", "TYPE", "REASON", "OBJECT", "COUNT", "MESSAGE"}, rows)
		},
	}
	target.Bind(cmd)
	cmd.Flags().Int32Var(&limit, "limit", 100, "at most so many, 1000 the most")
	return cmd
}

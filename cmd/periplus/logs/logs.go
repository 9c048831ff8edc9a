// Package logs shows the logs of a bundle's pods.
package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/live"
)

type options struct {
	target               live.Target
	container            string
	follow, previous     bool
	tail                 int64
	since                time.Duration
	timestamps, noPrefix bool
}

// Command is `periplus logs`.
func Command(env client.Env) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "logs BUNDLE KIND/NAME -c CLUSTER", Short: "Show the logs of an object's pods on a cluster", Args: cobra.ExactArgs(2),
		Long: `logs asks the cluster's agent for the logs of a pod, or of all pods that an object owns. It needs the right to get
objects/logs at the hub, and the bundle's tenant the right to get pods/log in the cluster. With --follow it ends with Ctrl-C,
or after an hour.`,
		Example: "  periplus logs model-x deploy/online-prediction -c prod-eu\n  periplus logs model-x job/train -c prod-eu --follow --container main\n  periplus logs model-x pod/train-x7k2p -c prod-eu --previous --since 10m",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.target.Read(cmd, args); err != nil {
				return err
			}
			if *env.Format != "" {
				return client.Usage("logs has no --output: its lines are text")
			}
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			query := o.target.Query()
			query.Set("tail", strconv.FormatInt(o.tail, 10))
			for name, value := range map[string]string{"container": o.container, "since": sinceText(o.since)} {
				if value != "" {
					query.Set(name, value)
				}
			}
			for name, set := range map[string]bool{"follow": o.follow, "previous": o.previous} {
				if set {
					query.Set(name, "true")
				}
			}
			if !o.follow {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, env.Options.Timeout)
				defer cancel()
			}
			err = hub.Lines(ctx, o.target.Path(hub.Namespace)+"/live/logs", query, func(part []byte) error {
				lines := &statusv1.LogLines{}
				if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(part, lines); err != nil {
					return fmt.Errorf("cannot read the hub's answer: %w", err)
				}
				return o.print(printer.Out, lines)
			})
			if o.follow && errors.Is(cmd.Context().Err(), context.Canceled) {
				// Ctrl-C is how a person ends it.
				return nil
			}
			return err
		},
	}
	o.target.Bind(cmd)
	cmd.Flags().StringVar(&o.container, "container", "", "only this container")
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "go on as lines come, until Ctrl-C")
	cmd.Flags().BoolVarP(&o.previous, "previous", "p", false, "the container's run before the present one")
	cmd.Flags().Int64Var(&o.tail, "tail", 100, "last lines of each container, 10000 the most")
	cmd.Flags().DurationVar(&o.since, "since", 0, "only lines newer than this, such as 10m")
	cmd.Flags().BoolVar(&o.timestamps, "timestamps", false, "the time before each line")
	cmd.Flags().BoolVar(&o.noPrefix, "no-prefix", false, "no pod and container before each line")
	return cmd
}

func sinceText(since time.Duration) string {
	if since == 0 {
		return ""
	}
	return since.String()
}

func (o options) print(out io.Writer, lines *statusv1.LogLines) error {
	for _, line := range lines.GetLines() {
		text := line.GetText()
		if o.timestamps && line.GetTime() != nil {
			text = line.GetTime().AsTime().UTC().Format(time.RFC3339) + " " + text
		}
		if !o.noPrefix {
			text = "[" + line.GetPod() + "/" + line.GetContainer() + "] " + text
		}
		if _, err := fmt.Fprintln(out, text); err != nil {
			return err
		}
	}
	return nil
}

// Package diff shows what an apply of a bundle would change on a cluster now.
package diff

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/structpb"
	"sigs.k8s.io/yaml"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/live"
)

// Command is `periplus diff`.
func Command(env client.Env) *cobra.Command {
	var target live.Target
	cmd := &cobra.Command{
		Use: "diff BUNDLE [KIND/NAME] -c CLUSTER", Short: "Show what an apply of a bundle would change on a cluster now", Args: cobra.RangeArgs(1, 2),
		Long: `diff has the cluster's agent compare what lives with what a dry run of the assigned revision would leave: drift, and what is
not applied yet. Values of Secrets are not shown. Exit code 0 says that nothing differs, 1 that something does or that it
cannot be told.`,
		Example: "  periplus diff model-x -c prod-eu\n  periplus diff model-x cm/settings -c prod-eu",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := target.Read(cmd, args); err != nil {
				return err
			}
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			answer := &statusv1.LiveDiffs{}
			if err := hub.Get(ctx, target.Path(hub.Namespace)+"/live/diff", target.Query(), answer); err != nil {
				return err
			}
			done, err := printer.Message(answer)
			if err != nil {
				return err
			}
			differs := answer.GetTruncated()
			for _, one := range answer.GetItems() {
				differs = differs || one.GetAction() != "none"
				if done {
					continue
				}
				if err := show(printer.Out, one); err != nil {
					return err
				}
			}
			if answer.GetTruncated() {
				printer.Hint("there is more: name an object")
			}
			if differs {
				return client.Exit(client.ExitFailed)
			}
			return nil
		},
	}
	target.Bind(cmd)
	return cmd
}

func show(out io.Writer, one *statusv1.LiveDiff) error {
	line := one.GetAction() + " " + live.Ref(one.GetObject())
	if one.GetMessage() != "" {
		line += ": " + one.GetMessage()
	}
	if _, err := fmt.Fprintln(out, line); err != nil {
		return err
	}
	before, err := lines(one.GetBefore())
	if err != nil {
		return err
	}
	after, err := lines(one.GetAfter())
	if err != nil {
		return err
	}
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: before, B: after, FromFile: "live", ToFile: "applied", Context: 3})
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, text)
	return err
}

func lines(object *structpb.Struct) ([]string, error) {
	if object == nil {
		return nil, nil
	}
	text, err := yaml.Marshal(object.AsMap())
	return slices.Collect(strings.Lines(string(text))), err
}

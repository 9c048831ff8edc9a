// Package root puts the verbs together into the periplus command.
package root

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/periplus-fleet/periplus/cmd/periplus/abort"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/cluster"
	"github.com/periplus-fleet/periplus/cmd/periplus/confirm"
	"github.com/periplus-fleet/periplus/cmd/periplus/describe"
	"github.com/periplus-fleet/periplus/cmd/periplus/diff"
	"github.com/periplus-fleet/periplus/cmd/periplus/events"
	"github.com/periplus-fleet/periplus/cmd/periplus/get"
	"github.com/periplus-fleet/periplus/cmd/periplus/history"
	"github.com/periplus-fleet/periplus/cmd/periplus/initrepo"
	"github.com/periplus-fleet/periplus/cmd/periplus/logs"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/check"
	importcommand "github.com/periplus-fleet/periplus/cmd/periplus/offline/importer/command"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/policy"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/render"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/values"
	"github.com/periplus-fleet/periplus/cmd/periplus/plugin"
	"github.com/periplus-fleet/periplus/cmd/periplus/recover"
	"github.com/periplus-fleet/periplus/cmd/periplus/sync"
	"github.com/periplus-fleet/periplus/cmd/periplus/tree"
	"github.com/periplus-fleet/periplus/cmd/periplus/version"
	"github.com/periplus-fleet/periplus/cmd/periplus/wait"
	"github.com/periplus-fleet/periplus/cmd/periplus/why"
)

// Command is the whole command tree.
func Command() *cobra.Command {
	env := client.Env{Options: &client.Options{}, Format: new(string)}
	root := &cobra.Command{
		Use:   "periplus",
		Short: "See and steer a fleet of Kubernetes clusters that Git declares",
		Long: `periplus talks to the hub's status API as the user of your kubeconfig for the hub's cluster.

Exit codes: 0 done, 1 failed, 2 wrong usage, 4 not signed in, 8 still pending.`,
		Example: `  periplus get clusters
  periplus why model-x -c prod-eu
  periplus wait --commit HEAD`,
		SilenceUsage: true, SilenceErrors: true,
	}
	env.Options.Bind(root.PersistentFlags())
	root.PersistentFlags().StringVarP(env.Format, "output", "o", "", "json or yaml instead of a table")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return client.Usage("%v\nsee '%s --help'", err, cmd.CommandPath())
	})
	root.AddCommand(get.Command(env, time.Now), describe.Command(env, time.Now), history.Command(env, time.Now), why.Command(env, time.Now),
		tree.Command(env, time.Now), diff.Command(env), events.Command(env, time.Now), logs.Command(env), abort.Command(env),
		sync.Command(env), wait.Command(env), confirm.Command(env), recover.Command(env), cluster.Command(env), initrepo.Command(env),
		plugin.Command(env, time.Now), version.Command(env), importcommand.Command(env, time.Now),
		render.Command(env), values.Command(env), check.Command(env, time.Now), policy.Command(time.Now))
	usageErrors(root)
	return root
}

// usageErrors gives mistakes in arguments the usage exit code.
func usageErrors(cmd *cobra.Command) {
	if cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.Args, cmd.SuggestionsMinimumDistance = cobra.ArbitraryArgs, 2
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			hint := ""
			if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
				hint = "; did you mean " + strings.Join(meant, " or ") + "?"
			}
			return client.Usage("unknown word %q after %q%s\nsee '%s --help'", args[0], cmd.CommandPath(), hint, cmd.CommandPath())
		}
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				how := cmd.Use
				if cmd.HasParent() {
					how = cmd.Parent().CommandPath() + " " + how
				}
				return client.Usage("%d words after %q; want: %s\nsee '%s --help'", len(args), cmd.CommandPath(), how, cmd.CommandPath())
			}
			return nil
		}
	}
	for _, child := range cmd.Commands() {
		usageErrors(child)
	}
}

// Package sync asks the hub to read a repository now.
package sync

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
)

// Command is `periplus sync`.
func Command(env client.Env) *cobra.Command {
	return &cobra.Command{
		Use: "sync [REPO]", Short: "Read a repository now instead of at its next interval", Args: cobra.MaximumNArgs(1),
		Example: "  periplus sync\n  periplus sync team-a-charts",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			names := args
			if len(names) == 0 {
				repos := &statusv1.ListReposResponse{}
				if err := hub.Get(ctx, "repos", url.Values{"namespace": {hub.Namespace}}, repos); err != nil {
					return err
				}
				for _, repo := range repos.GetItems() {
					names = append(names, repo.GetName())
				}
			}
			read := &statusv1.ListReposResponse{}
			for _, name := range names {
				answer := &statusv1.SyncRepoResponse{}
				if err := hub.Post(ctx, fmt.Sprintf("namespaces/%s/repos/%s:sync", hub.Namespace, url.PathEscape(name)), nil, answer); err != nil {
					return err
				}
				if printer.Format == "" {
					fmt.Fprintf(printer.Out, "%s\t%s\n", name, answer.GetCommit())
					continue
				}
				repo := &statusv1.Repo{}
				if err := hub.Get(ctx, fmt.Sprintf("namespaces/%s/repos/%s", hub.Namespace, url.PathEscape(name)), nil, repo); err != nil {
					return err
				}
				read.Items, read.Total = append(read.Items, repo), read.GetTotal()+1
			}
			if done, err := printer.Message(read); done || err != nil {
				return err
			}
			printer.Hint("Follow it with: periplus wait --commit HEAD")
			return nil
		},
	}
}

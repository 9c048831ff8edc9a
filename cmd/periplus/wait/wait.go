// Package wait waits until a commit is in force and what it declares is ready everywhere.
package wait

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
)

const poll = 300 * time.Millisecond

// Command is `periplus wait`.
func Command(env client.Env) *cobra.Command {
	var commit, repo string
	var timeout time.Duration
	var held bool
	cmd := &cobra.Command{
		Use: "wait", Short: "Wait until a commit is in force and ready on every cluster", Args: cobra.NoArgs,
		Example: "  git push && periplus wait --commit HEAD\n  periplus wait --commit 3f2a9c1 --timeout 10m --held-is-done",
		Long: `Wait until a repository's commit is in force and every delivery is Ready.
Exits 0 when it is, 1 when something failed or is held, 8 when the time is over first.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sha, err := resolve(cmd.Context(), commit)
			if err != nil {
				return err
			}
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			last := ""
			for {
				done, state, err := look(ctx, hub, repo, sha, held)
				switch {
				case err != nil && ctx.Err() == nil:
					return err
				case done:
					fmt.Fprintln(printer.Out, state)
					return nil
				case state != last && state != "":
					printer.Hint("%s", state)
					last = state
				}
				select {
				case <-ctx.Done():
					if cmd.Context().Err() != nil {
						return errors.New("interrupted")
					}
					return client.Pending("not ready within %s: %s", timeout, last)
				case <-time.After(poll):
				}
			}
		},
	}
	cmd.Flags().StringVar(&commit, "commit", "", "commit that must be in force: a sha, or a revision of the Git repository in the current folder, such as HEAD (default: whatever is in force)")
	cmd.Flags().StringVar(&repo, "repo", "fleet", "the FleetRepo")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait")
	cmd.Flags().BoolVar(&held, "held-is-done", false, "count deliveries that are held as done")
	return cmd
}

// resolve turns a revision such as HEAD into a sha.
func resolve(ctx context.Context, commit string) (string, error) {
	isSha := len(commit) >= 7 && strings.Trim(commit, "0123456789abcdef") == ""
	if commit == "" || isSha {
		return commit, nil
	}
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "--verify", commit+"^{commit}").Output()
	if err != nil {
		return "", client.Usage("--commit %q: not a sha, and not a revision of a Git repository in this folder", commit)
	}
	return strings.TrimSpace(string(out)), nil
}

// look says whether everything is done, and the state in one line.
func look(ctx context.Context, hub *client.Client, name, sha string, heldIsDone bool) (bool, string, error) {
	repo := &statusv1.Repo{}
	if err := hub.Get(ctx, fmt.Sprintf("namespaces/%s/repos/%s", hub.Namespace, url.PathEscape(name)), nil, repo); err != nil {
		return false, "", err
	}
	if sha != "" && !strings.HasPrefix(repo.GetCommit(), sha) {
		for _, condition := range repo.GetConditions() {
			if condition.GetType() == "Stalled" && condition.GetStatus() == "True" && strings.HasPrefix(repo.GetFetchedCommit(), sha) {
				return false, "", fmt.Errorf("commit %.12s is refused: %s", sha, condition.GetMessage())
			}
		}
		return false, fmt.Sprintf("waits for commit %.12s; %.12s is in force", sha, repo.GetCommit()), nil
	}
	var ready, total, held int
	waiting := ""
	query := url.Values{"namespace": {hub.Namespace}, "limit": {"1000"}}
	for {
		page := &statusv1.ListDeliveriesResponse{}
		if err := hub.Get(ctx, "deliveries", query, page); err != nil {
			return false, "", err
		}
		for _, d := range page.GetItems() {
			total++
			switch {
			case d.GetState() == "Ready":
				ready++
			case d.GetState() == "Held" && heldIsDone:
				held++
			case d.GetState() == "Held" || d.GetState() == "RolledBack" || (d.GetState() == "Failed" && d.GetReason() != ""):
				return false, "", fmt.Errorf("%s on %s: %s", d.GetBundle(), d.GetCluster(), d.GetMessage())
			case waiting == "":
				waiting = fmt.Sprintf("%s on %s is %s", d.GetBundle(), d.GetCluster(), d.GetState())
			}
		}
		if page.GetNext() == "" {
			break
		}
		query.Set("cursor", page.GetNext())
	}
	state := fmt.Sprintf("%d of %d deliveries ready", ready, total)
	if held > 0 {
		state += fmt.Sprintf(", %d held", held)
	}
	if waiting != "" {
		state += ": " + waiting
	}
	return ready+held == total && len(repo.GetRefused()) == 0, state, nil
}

// Package cluster lets existing clusters join, join again, and be revoked.
package cluster

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
)

// Command is `periplus cluster`.
func Command(env client.Env) *cobra.Command {
	cmd := &cobra.Command{Use: "cluster", Short: "Let a cluster join or join again, or revoke its agent",
		Example: "  periplus cluster join edge-7 | sh\n  periplus cluster revoke edge-7"}
	cmd.AddCommand(join(env, "join", "Print the line that installs the agent in an existing cluster", false),
		join(env, "rejoin", "The same for a cluster that has a living identity, which joining ends", true), revoke(env))
	return cmd
}

func join(env client.Env, name, short string, rejoin bool) *cobra.Command {
	var life, chart, admin string
	var namespaces []string
	cmd := &cobra.Command{
		Use: name + " NAME", Short: short, Args: cobra.ExactArgs(1),
		Long: short + `.
The FleetCluster must be declared in the fleet repo, without spec.provision. The printed lines go to a shell whose kubectl and
helm point at the cluster that joins. They hold a token: it works once and for a limited time.

Rights: without --grant and --grant-admin the agent may apply nothing.`,
		Example: "  periplus cluster " + name + " edge-7 --grant-admin fleet | sh\n  periplus cluster " + name + " edge-7 --grant web,jobs > join.sh",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			answer := &statusv1.CreateJoinTokenResponse{}
			path := fmt.Sprintf("namespaces/%s/clusters/%s/jointokens", hub.Namespace, url.PathEscape(args[0]))
			if err := hub.Post(ctx, path, &statusv1.CreateJoinTokenRequest{ExpiresIn: life, Rejoin: rejoin}, answer); err != nil {
				return err
			}
			if done, err := printer.Message(answer); done || err != nil {
				return err
			}
			fmt.Fprint(printer.Out, script(answer, hub.Namespace, chart, admin, namespaces))
			switch {
			case admin != "":
				printer.Hint("This grants bundles of namespace %s every right in the cluster (cluster-admin).", admin)
			case len(namespaces) > 0:
				printer.Hint("This grants bundles of namespace %s admin rights in the namespaces %s, and nothing else.", hub.Namespace, strings.Join(namespaces, ", "))
			default:
				printer.Hint("This grants nothing: bundles will be refused until the chart's tenants are set (--grant, --grant-admin).")
			}
			printer.Hint("The token expires at %s.", answer.GetExpires().AsTime().Local().Format("15:04:05 MST"))
			return nil
		},
	}
	cmd.Flags().StringVar(&life, "expires-in", "1h", "how long the token works, at most 168h")
	cmd.Flags().StringVar(&chart, "chart", "./charts/periplus-agent", "the agent's chart: a folder, an archive or an oci:// address")
	cmd.Flags().StringVar(&admin, "grant-admin", "", "tenant namespace whose bundles get cluster-admin")
	cmd.Flags().StringSliceVar(&namespaces, "grant", nil, "namespaces of the cluster in which bundles get admin rights")
	return cmd
}

// script is the join line: the token goes into a Secret and never on helm's command line, where others could read it.
func script(answer *statusv1.CreateJoinTokenResponse, tenant, chart, admin string, namespaces []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "kubectl create namespace periplus-system --dry-run=client -o yaml | kubectl apply -f -\n")
	fmt.Fprintf(&b, "kubectl -n periplus-system apply -f - <<'EOF'\napiVersion: v1\nkind: Secret\nmetadata: {name: periplus-join}\nstringData: {token: %q}\nEOF\n", answer.GetToken())
	fmt.Fprintf(&b, "helm upgrade --install periplus-agent %s --namespace periplus-system", quote(chart))
	for i, endpoint := range answer.GetEndpoints() {
		fmt.Fprintf(&b, " --set %s", quote(fmt.Sprintf("hub.endpoints[%d]=%s", i, endpoint)))
	}
	fmt.Fprintf(&b, " --set hub.caHash=%s --set join.secretName=periplus-join", answer.GetCaHash())
	switch {
	case admin != "":
		fmt.Fprintf(&b, " --set %s --set %s", quote("tenants[0].namespace="+admin), quote("tenants[0].clusterAdmin=true"))
	case len(namespaces) > 0:
		fmt.Fprintf(&b, " --set %s", quote("tenants[0].namespace="+tenant))
		for i, namespace := range namespaces {
			fmt.Fprintf(&b, " --set %s", quote(fmt.Sprintf("tenants[0].namespaces[%d]=%s", i, namespace)))
		}
	}
	b.WriteString("\n")
	return b.String()
}

func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func revoke(env client.Env) *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME", Short: "End every certificate of the cluster's agent; what runs there stays", Args: cobra.ExactArgs(1),
		Example: "  periplus cluster revoke edge-7",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			path := fmt.Sprintf("namespaces/%s/clusters/%s:revoke", hub.Namespace, url.PathEscape(args[0]))
			answer := &statusv1.RevokeClusterResponse{}
			if err := hub.Post(ctx, path, nil, answer); err != nil {
				return err
			}
			if done, err := printer.Message(answer); done || err != nil {
				return err
			}
			fmt.Fprintf(printer.Out, "revoked %s\n", args[0])
			printer.Hint("Let it back in with: periplus cluster rejoin %s", args[0])
			return nil
		},
	}
}

// Package describe shows one repo, cluster or bundle in full.
package describe

import (
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/output"
)

// Command is `periplus describe`.
func Command(env client.Env, now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use: "describe RESOURCE NAME", Short: "Show one repo, cluster or bundle in full",
		Example: "  periplus describe cluster prod-eu\n  periplus describe repo fleet\n  periplus describe bundle model-x",
	}
	cmd.AddCommand(
		one(env, "repo", "repos", &statusv1.Repo{}, func(p *output.Printer, m proto.Message) error { return repo(p, m.(*statusv1.Repo), now()) }),
		clusterCommand(env, now), bundleCommand(env))
	return cmd
}

func one(env client.Env, name, path string, answer proto.Message, show func(*output.Printer, proto.Message) error) *cobra.Command {
	return &cobra.Command{
		Use: name + " NAME", Short: "Show one " + name, Args: cobra.ExactArgs(1), Example: "  periplus describe " + name + " fleet",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			message := proto.Clone(answer)
			if err := hub.Get(ctx, fmt.Sprintf("namespaces/%s/%s/%s", hub.Namespace, path, url.PathEscape(args[0])), nil, message); err != nil {
				return err
			}
			if done, err := printer.Message(message); done || err != nil {
				return err
			}
			return show(printer, message)
		},
	}
}

func repo(p *output.Printer, r *statusv1.Repo, now time.Time) error {
	fmt.Fprintf(p.Out, "Repository  %s/%s\nURL         %s (%s)\nIn force    %s\nFetched     %s (%s ago)\n", r.GetNamespace(), r.GetName(), r.GetUrl(),
		r.GetRef(), output.Dash(r.GetCommit()), output.Dash(r.GetFetchedCommit()), output.Age(r.GetLastFetch(), now))
	conditions(p, r.GetConditions(), now)
	if len(r.GetRefused()) > 0 {
		fmt.Fprintln(p.Out, "Refused (what these declared before stays in force)")
	}
	for _, refusal := range r.GetRefused() {
		where := refusal.GetFile()
		if refusal.GetLine() > 0 {
			where = fmt.Sprintf("%s:%d", where, refusal.GetLine())
		}
		if refusal.GetField() != "" {
			where += " " + refusal.GetField()
		}
		fmt.Fprintf(p.Out, "  %s: %s\n", where, refusal.GetMessage())
	}
	return nil
}

func conditions(p *output.Printer, conditions []*statusv1.Condition, now time.Time) {
	for _, condition := range conditions {
		fmt.Fprintf(p.Out, "  %-16s %-8s %-20s %5s  %s\n", condition.GetType(), condition.GetStatus(), condition.GetReason(),
			output.Age(condition.GetSince(), now), condition.GetMessage())
	}
}

func clusterCommand(env client.Env, now func() time.Time) *cobra.Command {
	return &cobra.Command{
		Use: "cluster NAME", Short: "Show one cluster with its conditions and deliveries", Args: cobra.ExactArgs(1),
		Example: "  periplus describe cluster prod-eu",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			c := &statusv1.Cluster{}
			if err := hub.Get(ctx, fmt.Sprintf("namespaces/%s/clusters/%s", hub.Namespace, url.PathEscape(args[0])), nil, c); err != nil {
				return err
			}
			if done, err := printer.Message(c); done || err != nil {
				return err
			}
			fmt.Fprintf(printer.Out, "Cluster     %s/%s  %s\nLabels      %v\nKubernetes  %s\nAgent       %s, seen %s ago\nGeneration  %d, accepted %d\n",
				c.GetNamespace(), c.GetName(), c.GetState(), c.GetLabels(), output.Dash(c.GetKubernetesVersion()), output.Dash(c.GetAgentVersion()),
				output.Age(c.GetLastSeen(), now()), c.GetGeneration(), c.GetAcceptedGeneration())
			conditions(printer, c.GetConditions(), now())
			return deliveries(cmd, hub, printer, "cluster="+args[0], func(d *statusv1.Delivery) string { return d.GetBundle() })
		},
	}
}

func bundleCommand(env client.Env) *cobra.Command {
	return &cobra.Command{
		Use: "bundle NAME", Short: "Show one bundle with its deliveries", Args: cobra.ExactArgs(1), Example: "  periplus describe bundle model-x",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			b := &statusv1.Bundle{}
			if err := hub.Get(ctx, fmt.Sprintf("namespaces/%s/bundles/%s", hub.Namespace, url.PathEscape(args[0])), nil, b); err != nil {
				return err
			}
			if done, err := printer.Message(b); done || err != nil {
				return err
			}
			fmt.Fprintf(printer.Out, "Bundle      %s/%s\nFrom        %s %s at %s\nReady       %d of %d clusters\n", b.GetNamespace(), b.GetName(),
				b.GetRepo(), b.GetPath(), output.Short(b.GetCommit()), b.GetDeliveries().GetReady(), b.GetDeliveries().GetTotal())
			if b.GetFrozen() != "" {
				fmt.Fprintf(printer.Out, "Frozen      %s\n", b.GetFrozen())
			}
			for _, warning := range b.GetWarnings() {
				fmt.Fprintf(printer.Out, "Warning     %s\n", warning)
			}
			if more := int(b.GetWarningCount()) - len(b.GetWarnings()); more > 0 {
				fmt.Fprintf(printer.Out, "            and %d more\n", more)
			}
			return deliveries(cmd, hub, printer, "bundle="+args[0], func(d *statusv1.Delivery) string { return d.GetCluster() })
		},
	}
}

func deliveries(cmd *cobra.Command, hub *client.Client, printer *output.Printer, filter string, about func(*statusv1.Delivery) string) error {
	answer := &statusv1.ListDeliveriesResponse{}
	query := url.Values{"namespace": {hub.Namespace}, "filter": {filter}, "limit": {"1000"}}
	if err := hub.Get(cmd.Context(), "deliveries", query, answer); err != nil {
		return err
	}
	for _, d := range answer.GetItems() {
		fmt.Fprintf(printer.Out, "  %-32s %-12s %3d/%-3d objects ready  %s\n", about(d), d.GetState(), d.GetCounts().GetReady(),
			d.GetCounts().GetObjects(), d.GetMessage())
	}
	return nil
}

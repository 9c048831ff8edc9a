// Package why explains one bundle on one cluster: the chain from Git to what runs, and where it stops.
package why

import (
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/live"
	"github.com/periplus-fleet/periplus/cmd/periplus/output"
)

// Command is `periplus why`.
func Command(env client.Env, now func() time.Time) *cobra.Command {
	var cluster string
	cmd := &cobra.Command{
		Use: "why BUNDLE -c CLUSTER", Short: "Explain one bundle on one cluster: source, target, policy, rollout, apply", Args: cobra.ExactArgs(1),
		Example: "  periplus why model-x -c prod-eu",
		RunE: func(cmd *cobra.Command, args []string) error {
			if cluster == "" {
				return client.Usage("why needs --cluster")
			}
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			bundle, d := &statusv1.Bundle{}, &statusv1.Delivery{}
			at := "namespaces/" + hub.Namespace
			if err := hub.Get(ctx, at+"/bundles/"+url.PathEscape(args[0]), nil, bundle); err != nil {
				return err
			}
			pair := fmt.Sprintf("%s/clusters/%s/deliveries/%s", at, url.PathEscape(cluster), url.PathEscape(args[0]))
			if err := hub.Get(ctx, pair, nil, d); err != nil {
				return err
			}
			if done, err := printer.Message(d); done || err != nil {
				return err
			}
			objects := &statusv1.ListObjectsResponse{}
			if err := hub.Get(ctx, pair+"/objects", url.Values{"limit": {"1000"}}, objects); err != nil {
				return err
			}
			chain(printer, bundle, d, objects, now())
			if d.GetState() != "Ready" {
				findings := &statusv1.LiveFindings{}
				err := hub.Get(ctx, pair+"/live/why", nil, findings)
				below(printer, findings, err)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&cluster, "cluster", "c", "", "the cluster")
	return cmd
}

// chain prints the stages in the order a commit passes them.
func chain(p *output.Printer, b *statusv1.Bundle, d *statusv1.Delivery, objects *statusv1.ListObjectsResponse, now time.Time) {
	line := func(stage, format string, args ...any) {
		fmt.Fprintf(p.Out, "%-8s "+format+"\n", append([]any{stage}, args...)...)
	}
	line("source", "%s %s at %s", b.GetRepo(), b.GetPath(), output.Short(b.GetCommit()))
	if b.GetFrozen() != "" {
		line("", "a newer version is refused, so this one stays: %s", b.GetFrozen())
	}
	line("target", "%s", output.Dash(d.GetTarget()))
	switch d.GetReason() {
	case "TargetError", "RenderFailed":
		line("render", "failed: %s", d.GetMessage())
	default:
		line("render", "revision %s from commit %s", output.Short(d.GetTargetRevision()), output.Short(d.GetTargetCommit()))
	}
	if len(d.GetPolicy()) == 0 {
		line("policy", "allowed")
	}
	for _, result := range d.GetPolicy() {
		line("policy", "%s (%s) by %s (%s): %s: %s  [%s]", result.GetResult(), result.GetAction(), result.GetPolicy(), result.GetPolicySource(),
			result.GetObject(), result.GetMessage(), output.Dash(result.GetSource()))
	}
	switch {
	case d.GetReason() != "":
		line("rollout", "%s: %s", d.GetReason(), d.GetMessage())
		line("", "assigned stays %s (commit %s)", output.Short(d.GetAssignedRevision()), output.Short(d.GetAssignedCommit()))
	default:
		line("rollout", "assigned %s", output.Short(d.GetAssignedRevision()))
	}
	line("apply", "%s: %d of %d objects ready, %d failed, %d drifted (%s ago)", d.GetState(), d.GetCounts().GetReady(), d.GetCounts().GetObjects(),
		d.GetCounts().GetFailed(), d.GetCounts().GetDrifted(), output.Age(d.GetChanged(), now))
	if d.GetStaleSeconds() > 0 {
		line("", "the cluster is silent for %d s: this is its last known state", d.GetStaleSeconds())
	}
	if d.GetReason() == "" && d.GetMessage() != "" {
		line("", "%s", d.GetMessage())
	}
	for _, object := range objects.GetItems() {
		if object.GetState() != "current" {
			line("", "%s %s/%s %s: %s  [%s]", object.GetKind(), object.GetNamespace(), object.GetName(), object.GetState(), object.GetMessage(),
				output.Dash(object.GetSource()))
		}
	}
}

// below says what the cluster says, down to the event of a pod. That it cannot be asked is part of the answer.
func below(p *output.Printer, findings *statusv1.LiveFindings, err error) {
	if err != nil {
		fmt.Fprintf(p.Out, "%-8s cannot be asked: %v\n", "cluster", err)
		return
	}
	for _, f := range findings.GetItems() {
		where := ""
		if f.GetObject().GetName() != "" {
			where = live.Ref(f.GetObject()) + ": "
		}
		fmt.Fprintf(p.Out, "%-8s %s%s\n", "cluster", where, f.GetMessage())
		if f.GetAdvice() != "" {
			fmt.Fprintf(p.Out, "%-8s %s\n", "", f.GetAdvice())
		}
	}
	if findings.GetStaleSeconds() > 0 {
		fmt.Fprintf(p.Out, "%-8s last known %s ago\n", "", time.Duration(findings.GetStaleSeconds())*time.Second)
	}
}

// Package tree shows what belongs to a bundle on a cluster, down to pods.
package tree

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/live"
	"github.com/periplus-fleet/periplus/cmd/periplus/output"
)

// Command is `periplus tree`.
func Command(env client.Env, now func() time.Time) *cobra.Command {
	var target live.Target
	cmd := &cobra.Command{
		Use: "tree BUNDLE [KIND/NAME] -c CLUSTER", Short: "Show a bundle's objects on a cluster with what they own, down to pods", Args: cobra.RangeArgs(1, 2),
		Long:    "tree asks the cluster's agent. Of a cluster that is away it shows what was last known, and how old that is.",
		Example: "  periplus tree model-x -c prod-eu\n  periplus tree model-x deploy/online-prediction -c prod-eu",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := target.Read(cmd, args); err != nil {
				return err
			}
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			answer := &statusv1.LiveTree{}
			if err := hub.Get(ctx, target.Path(hub.Namespace)+"/live/tree", target.Query(), answer); err != nil {
				return err
			}
			if done, err := printer.Message(answer); done || err != nil {
				return err
			}
			if stale := answer.GetStaleSeconds(); stale > 0 {
				printer.Hint("cluster %s is away: this was last known %s ago", target.Cluster, time.Duration(stale)*time.Second)
			}
			draw(printer.Out, answer.GetItems(), now())
			if answer.GetTruncated() {
				printer.Hint("there is more: name an object, or see that the tenant may list what its objects own")
			}
			return nil
		},
	}
	target.Bind(cmd)
	return cmd
}

// draw prints nodes, which come in preorder, as a tree.
func draw(out io.Writer, nodes []*statusv1.LiveNode, now time.Time) {
	for i, node := range nodes {
		line := prefix(nodes, i) + live.Ref(node.GetObject()) + "  " + node.GetHealth()
		if node.GetCreated() != nil {
			line += "  " + output.Age(node.GetCreated(), now)
		}
		if node.GetMessage() != "" {
			line += "  " + node.GetMessage()
		}
		fmt.Fprintln(out, line)
	}
}

// prefix is the part of the tree's lines before a node.
func prefix(nodes []*statusv1.LiveNode, i int) string {
	depth := nodes[i].GetDepth()
	if depth == 0 {
		return ""
	}
	var b strings.Builder
	for level := int32(1); level < depth; level++ {
		if follows(nodes, i, level) {
			b.WriteString("│  ")
		} else {
			b.WriteString("   ")
		}
	}
	if follows(nodes, i, depth) {
		b.WriteString("├─ ")
	} else {
		b.WriteString("└─ ")
	}
	return b.String()
}

// follows says whether a sibling comes after a node at a level, below the same parent.
func follows(nodes []*statusv1.LiveNode, i int, level int32) bool {
	for _, next := range nodes[i+1:] {
		if next.GetDepth() == level {
			return true
		}
		if next.GetDepth() < level {
			return false
		}
	}
	return false
}

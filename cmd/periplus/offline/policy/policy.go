// Package policy is `periplus policy`: work on policies where they are written, without a hub.
package policy

import (
	"time"

	"github.com/spf13/cobra"
)

// Command is `periplus policy`.
func Command(now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "Test policies, without a hub", Example: "  periplus policy test"}
	cmd.AddCommand(testCommand(now))
	return cmd
}

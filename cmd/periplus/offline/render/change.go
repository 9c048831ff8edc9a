package render

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/workspace"
	"github.com/periplus-fleet/periplus/cmd/periplus/output"
	"github.com/periplus-fleet/periplus/hub/offline"
	"github.com/periplus-fleet/periplus/hub/offline/place"
)

// exitUnknown is --exit-code's answer where a comparison could not be made, as diff's.
const exitUnknown = 2

// compare prints what differs from a commit.
func (o options) compare(cmd *cobra.Command, at *place.Place, selection offline.Selection, stages *offline.Stages) error {
	before, after, err := o.sides(cmd, at, selection, stages)
	if err != nil {
		return o.unknown(err)
	}
	found, err := compare(before.result, after.result, o.showSecrets)
	if err != nil {
		return o.unknown(err)
	}
	out := cmd.OutOrStdout()
	switch o.format {
	case "json":
		err = found.json(out)
	case "name":
		err = found.names(out)
	default:
		file, isFile := out.(*os.File)
		terminal := isFile && output.IsTerminal(file) && os.Getenv("NO_COLOR") == ""
		err = found.text(out, o.diff, after.title(), terminal)
	}
	if err != nil {
		return o.unknown(err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s, compared with %s\n", after.Describe(), before.Describe())
	switch wrong := o.mistakes(cmd, after); {
	case wrong > 0:
		return o.unknown(fmt.Errorf("%s; the hub keeps what is in force there", plural(wrong, "mistake")))
	case o.exitCode && len(found.changes) > 0:
		return client.Exit(client.ExitFailed)
	}
	return nil
}

// title of a side in a diff.
func (s *side) title() string {
	if s.Files != nil {
		return "working tree"
	}
	return s.Snapshot.Commit[:min(len(s.Snapshot.Commit), 12)]
}

// unknown gives an error the exit code that tells it from a difference.
func (o options) unknown(err error) error {
	if o.exitCode {
		return client.WithExit(exitUnknown, err)
	}
	return err
}

// sides renders both. A cluster or bundle may be on one of them only.
func (o options) sides(cmd *cobra.Command, at *place.Place, selection offline.Selection, stages *offline.Stages) (before, after *side, err error) {
	then, err := workspace.Open(cmd.Context(), at, o.diff, o.namespace, nil)
	if err != nil {
		return nil, nil, err
	}
	now, err := workspace.Open(cmd.Context(), at, o.Commit, o.namespace, then.Fleet)
	if err != nil {
		return nil, nil, err
	}
	chosen, err := offline.BothPairs(then.Fleet, now.Fleet, selection)
	if err != nil {
		return nil, nil, workspace.Usage(err)
	}
	if err := noBundle(selection, now.Fleet, len(chosen[0])+len(chosen[1])); err != nil {
		return nil, nil, err
	}
	out := [2]*side{{then, selection, nil}, {now, selection, nil}}
	for i, one := range out {
		progress := newProgress(cmd)
		one.result, err = stages.Render(cmd.Context(), one.Fleet, chosen[i], progress.show)
		progress.end()
		if err != nil {
			return nil, nil, err
		}
	}
	return out[0], out[1], nil
}

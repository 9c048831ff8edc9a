// Package check is `periplus check`: what the policies of a fleet repo say of everything that it makes, before it is committed
// or in a CI job. It needs no hub, and judges by the code of the hub's gate.
package check

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/workspace"
	"github.com/periplus-fleet/periplus/cmd/periplus/output"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/offline"
	"github.com/periplus-fleet/periplus/hub/offline/place"
	"github.com/periplus-fleet/periplus/hub/offline/verdict"
	"github.com/periplus-fleet/periplus/policies/engine"
)

type options struct {
	workspace.Flags
	folder    string
	bundles   []string
	clusters  []string
	format    string
	explain   string
	point     string
	namespace string
}

var formats = map[string]func(io.Writer, *verdict.Report) error{"json": writeJSON, "sarif": writeSARIF, "junit": writeJUnit}

// Command is `periplus check`.
func Command(env client.Env, now func() time.Time) *cobra.Command {
	o := options{}
	cmd := &cobra.Command{
		Use: "check [FOLDER]", Short: "Ask the policies of a fleet repo about everything that it makes, without a hub", Args: cobra.MaximumNArgs(1),
		Long: `check reads the fleet repo that a folder belongs to, as it lies there, renders every bundle for every cluster, and asks its
policies at the point commit, by the hub's own code. It prints each finding with the file and line that the object comes from,
once for all clusters that it is the same on. Declared clusters, classes and templates are asked about too.

With --explain it says of one object, on each cluster, what every policy has to do with it: which are asked and why the others are not,
which rule fires, with which action and parameters, and what set them.

Exit codes: 0 nothing is denied, 1 something is denied, refused or cannot be rendered, 2 wrong usage.`,
		Example: `  periplus check
  periplus check bundles/shop -c prod-eu
  periplus check -o sarif > check.sarif
  periplus check --commit HEAD -o junit
  periplus check --explain Deployment/cart -c prod-eu
  periplus check --explain shop/cart --point admission`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.folder, o.namespace = ".", env.Options.Namespace
			if len(args) > 0 {
				o.folder = args[0]
			}
			return o.run(cmd, now())
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.bundles, "bundle", nil, "only this bundle (repeatable)")
	flags.StringArrayVarP(&o.clusters, "cluster", "c", nil, "only this cluster (repeatable)")
	flags.StringVarP(&o.format, "output", "o", "table", "table, json, sarif or junit")
	flags.StringVar(&o.explain, "explain", "", "say of this object (`kind/name, namespace/name or name`) what every policy has to do with it")
	flags.StringVar(&o.point, "point", engine.PointCommit, "with --explain: the `point` at which policies are asked: commit, gate, admission or audit")
	o.Bind(cmd)
	folder := func(_ *cobra.Command, args []string) string {
		if len(args) > 0 {
			return args[0]
		}
		return "."
	}
	for name, complete := range map[string]cobra.CompletionFunc{"bundle": workspace.CompleteBundles(folder), "cluster": workspace.CompleteClusters(folder)} {
		cobra.CheckErr(cmd.RegisterFlagCompletionFunc(name, complete))
	}
	return cmd
}

func (o options) run(cmd *cobra.Command, now time.Time) error {
	write, known := formats[o.format]
	if !known && o.format != "table" {
		return client.Usage("-o %q: want table, json, sarif or junit", o.format)
	}
	at, err := place.Find(o.folder)
	if err != nil {
		return err
	}
	w, err := workspace.Open(cmd.Context(), at, o.Commit, o.namespace, nil)
	if err != nil {
		return err
	}
	selection := offline.Selection{Bundles: o.bundles, Clusters: o.clusters}
	if at.Named != at.Root {
		selection.Below = at.Named
	}
	pairs, err := w.Pairs(selection)
	if err != nil {
		return workspace.Usage(err)
	}
	stages, stop, err := o.Stages(cmd, false)
	if err != nil {
		return err
	}
	defer stop()
	result, err := stages.Render(cmd.Context(), w.Fleet, pairs, nil)
	if err != nil {
		return err
	}
	if o.explain != "" {
		return o.explained(cmd, w, result, now)
	}
	whole := selection.Below == "" && len(selection.Bundles)+len(selection.Clusters) == 0
	report, err := verdict.Check(cmd.Context(), w.Fleet, result.Deliveries, whole, now)
	if err != nil {
		return err
	}
	if write == nil {
		write = table
	}
	if err := write(cmd.OutOrStdout(), report); err != nil {
		return err
	}
	return o.judge(cmd, w, selection, result, report)
}

// judge says on standard error what could not be judged, and what was.
func (o options) judge(cmd *cobra.Command, w *workspace.Workspace, selection offline.Selection, result *offline.Result, report *verdict.Report) error {
	out, wrong := cmd.ErrOrStderr(), map[string]bool{}
	for _, refused := range w.Refused {
		if selection.Concerns(refused) {
			wrong[fleet.Describe(refused)] = true
		}
	}
	for _, refused := range report.Refused {
		wrong[fleet.Describe(refused)] = true
	}
	for _, failure := range result.Failures {
		wrong[failure.Error()] = true
	}
	lines := make([]string, 0, len(wrong))
	for line := range wrong {
		lines = append(lines, line)
	}
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Fprintln(out, line)
	}
	for _, hint := range o.Hints(result.Failures) {
		fmt.Fprintf(out, "hint: %s\n", hint)
	}
	denied := report.Denied()
	fmt.Fprintf(out, "%s: %d policies, %d objects, %d findings, of which %d deny\n", w.Describe(), len(report.Policies), report.Objects, len(report.Findings), denied)
	switch {
	case len(lines) > 0:
		return fmt.Errorf("%d mistakes, and %d findings that deny", len(lines), denied)
	case denied > 0:
		return client.Exit(client.ExitFailed)
	}
	return nil
}

func table(out io.Writer, report *verdict.Report) error {
	p, err := output.New(out, io.Discard, "")
	if err != nil {
		return err
	}
	var rows [][]string
	for _, f := range report.Findings {
		rows = append(rows, []string{f.Source, f.Result, f.Action, f.Policy, f.Object.String(), f.Message, where(f), f.PolicySource})
	}
	return p.Table([]string{"SOURCE", "RESULT", "ACTION", "POLICY", "OBJECT", "MESSAGE", "CLUSTERS", "RULE"}, rows)
}

// where names the clusters, as long as a person wants to read them.
func where(f verdict.Finding) string {
	if len(f.Clusters) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(f.Clusters[:3], ", "), len(f.Clusters)-3)
	}
	return strings.Join(f.Clusters, ", ")
}

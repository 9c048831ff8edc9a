// Package render is `periplus render`: what the hub would make of a fleet repo, or of one bundle, for its clusters, and what a
// change of it would change. It needs no hub.
package render

import (
	"fmt"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/workspace"
	"github.com/periplus-fleet/periplus/cmd/periplus/output"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/offline"
	"github.com/periplus-fleet/periplus/hub/offline/place"
)

// options of one run.
type options struct {
	workspace.Flags
	folder      string
	bundles     []string
	clusters    []string
	all         bool
	format      string
	showSecrets bool
	diff        string
	exitCode    bool
	namespace   string
}

// Command is `periplus render`.
func Command(env client.Env) *cobra.Command {
	o := options{}
	cmd := &cobra.Command{
		Use: "render [FOLDER]", Short: "Show what the hub would make of a fleet repo, without a hub", Args: cobra.MaximumNArgs(1),
		Long: `render reads the fleet repo that a folder belongs to, as it lies there, and prints the objects that the hub would make of it:
read, targeted and rendered by the hub's own code. Changes that are not committed count; what Git ignores does not. FOLDER
may be the fleet repo, a bundle's folder, or one above bundles (default: the current folder).

With --diff it renders a commit too, and prints what differs, object by object.

Values of Secrets are masked. Sealed manifests are shown as they are; only their cluster opens them. What only a hub knows
can be given: --kube-version, --api-version, --hub-objects, --plugins-config, --decrypt-keys.

Exit codes: 0 done, 1 failed or refused, 2 wrong usage. With --diff --exit-code, 1 says that something changes, and 2 that it
could not be told.`,
		Example: `  periplus render bundles/ingress-nginx -c prod-eu
  periplus render --all -o name
  periplus render --bundle monitoring -o dir=out
  periplus render --all --diff origin/main`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.folder, o.namespace = ".", env.Options.Namespace
			if len(args) > 0 {
				o.folder = args[0]
			}
			return o.run(cmd)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&o.bundles, "bundle", "b", nil, "only this bundle (repeatable)")
	flags.StringArrayVarP(&o.clusters, "cluster", "c", nil, "only this cluster (repeatable)")
	flags.BoolVar(&o.all, "all", false, "every bundle on every cluster")
	flags.StringVarP(&o.format, "output", "o", "yaml", "yaml, json, name, or dir=FOLDER for a file an object")
	flags.BoolVar(&o.showSecrets, "show-secrets", false, "print the values of Secrets")
	flags.StringVar(&o.diff, "diff", "", "a commit, branch or tag: print what differs from it")
	flags.BoolVar(&o.exitCode, "exit-code", false, "with --diff: exit with 1 if something differs")
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

// run checks the flags, renders, and prints.
func (o options) run(cmd *cobra.Command) error {
	dir, toDir := strings.CutPrefix(o.format, "dir=")
	switch {
	case o.format != "yaml" && o.format != "json" && o.format != "name" && (!toDir || dir == ""):
		return client.Usage("-o %q: want yaml, json, name or dir=FOLDER", o.format)
	case o.diff != "" && toDir:
		return client.Usage("--diff prints what differs: it takes -o yaml, json or name")
	case o.exitCode && o.diff == "":
		return client.Usage("--exit-code needs --diff")
	case o.all && (len(o.bundles) > 0 || len(o.clusters) > 0):
		return client.Usage("--all is everything: leave it out to choose by --bundle and --cluster")
	}
	at, err := place.Find(o.folder)
	if err != nil {
		return err
	}
	selection := offline.Selection{Bundles: o.bundles, Clusters: o.clusters}
	if at.Named != at.Root {
		selection.Below = at.Named
	}
	if !o.all && o.diff == "" && len(o.bundles)+len(o.clusters) == 0 && selection.Below == "" {
		return client.Usage("say what to render: --all, --bundle NAME, --cluster NAME, or the folder of a bundle")
	}
	stages, stop, err := o.Stages(cmd, o.showSecrets)
	if err != nil {
		return err
	}
	defer stop()
	if o.diff != "" {
		return o.compare(cmd, at, selection, stages)
	}
	side, err := o.side(cmd, at, selection, stages)
	if err != nil {
		return err
	}
	revisions := offline.Revisions(side.result.Deliveries)
	if err := o.print(cmd, dir, revisions); err != nil {
		return err
	}
	return o.judge(cmd, side, revisions)
}

// print the revisions in the format.
func (o options) print(cmd *cobra.Command, dir string, revisions []offline.Revision) error {
	p := printer{out: cmd.OutOrStdout(), showSecrets: o.showSecrets}
	switch {
	case dir != o.format && dir != "":
		files, err := p.folder(dir, revisions)
		if err == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s in %s\n", plural(files, "file"), dir)
		}
		return err
	case o.format == "json":
		return p.json(revisions)
	case o.format == "name":
		return p.names(revisions)
	default:
		return p.documents(revisions)
	}
}

// side is one state of the fleet repo, rendered.
type side struct {
	*workspace.Workspace
	selection offline.Selection
	result    *offline.Result
}

func (o options) side(cmd *cobra.Command, at *place.Place, selection offline.Selection, stages *offline.Stages) (*side, error) {
	w, err := workspace.Open(cmd.Context(), at, o.Commit, o.namespace, nil)
	if err != nil {
		return nil, err
	}
	pairs, err := w.Pairs(selection)
	if err != nil {
		return nil, workspace.Usage(err)
	}
	if err := noBundle(selection, w.Fleet, len(pairs)); err != nil {
		return nil, err
	}
	progress := newProgress(cmd)
	defer progress.end()
	result, err := stages.Render(cmd.Context(), w.Fleet, pairs, progress.show)
	return &side{w, selection, result}, err
}

// noBundle is the mistake of naming a folder with no bundle in it, not even one that was refused.
func noBundle(selection offline.Selection, f *offline.Fleet, pairs int) error {
	if selection.Below == "" || pairs > 0 || len(f.Clusters) == 0 {
		return nil
	}
	for _, refused := range f.Refused {
		if selection.Concerns(refused) {
			return nil
		}
	}
	return client.Usage("there is no bundle in %s: name the folder of the fleet repo, or of a bundle", selection.Below)
}

// judge says on standard error what went wrong, and what was rendered.
func (o options) judge(cmd *cobra.Command, s *side, revisions []offline.Revision) error {
	out := cmd.ErrOrStderr()
	wrong := o.mistakes(cmd, s)
	for _, revision := range revisions {
		for _, warning := range revision.Variant.Warnings {
			fmt.Fprintf(out, "warning: %s: %s\n", offline.Name(revision.Bundle), warning)
		}
	}
	if len(s.result.Deliveries)+wrong == 0 {
		explainNothing(cmd, s)
	}
	objects := 0
	for _, revision := range revisions {
		objects += len(revision.Variant.Manifest.Items)
	}
	fmt.Fprintf(out, "%s: %s, %s, %s\n", s.Describe(), plural(len(revisions), "revision"), plural(objects, "object"), plural(len(s.result.Deliveries), "delivery"))
	if wrong > 0 {
		return fmt.Errorf("%s; everything else is shown", plural(wrong, "mistake"))
	}
	return nil
}

// mistakes prints refusals and failures, and counts them.
func (o options) mistakes(cmd *cobra.Command, s *side) int {
	out, wrong, others := cmd.ErrOrStderr(), 0, 0
	for _, refused := range s.Refused {
		if !s.selection.Concerns(refused) {
			others++
			continue
		}
		fmt.Fprintln(out, fleet.Describe(refused))
		wrong++
	}
	// One cause is mostly the same on many clusters.
	clusters := map[string][]string{}
	var order []string
	for _, failure := range s.result.Failures {
		text := failure.Error()
		if clusters[text] == nil {
			order = append(order, text)
		}
		clusters[text] = append(clusters[text], failure.Cluster.Name)
	}
	for _, text := range order {
		fmt.Fprintf(out, "%s  (on %s)\n", text, clusterList(clusters[text]))
		wrong++
	}
	for _, hint := range o.Hints(s.result.Failures) {
		fmt.Fprintf(out, "hint: %s\n", hint)
	}
	if others > 0 {
		fmt.Fprintf(out, "%s of bundles that are not shown here\n", plural(others, "mistake"))
	}
	return wrong
}

// explainNothing says why there is nothing to see.
func explainNothing(cmd *cobra.Command, s *side) {
	out := cmd.ErrOrStderr()
	switch {
	case len(s.Clusters) == 0:
		fmt.Fprintf(out, "the fleet repo declares no clusters (in %s)\n", path.Join(s.Root, "clusters"))
	case len(s.Bundles) == 0:
		fmt.Fprintf(out, "the fleet repo declares no bundles (in %s)\n", path.Join(s.Root, "bundles"))
	}
	for _, skipped := range s.result.Skipped[:min(len(s.result.Skipped), shownClusters)] {
		fmt.Fprintf(out, "%s: %s\n", offline.Name(skipped.Bundle), skipped.Why)
	}
}

// progress of a long run, on a terminal only.
type progress struct {
	mu    sync.Mutex
	cmd   *cobra.Command
	began time.Time
	last  time.Time
	shown bool
}

func newProgress(cmd *cobra.Command) *progress {
	p := &progress{cmd: cmd, began: time.Now()}
	if file, ok := cmd.ErrOrStderr().(*os.File); !ok || !output.IsTerminal(file) {
		p.cmd = nil
	}
	return p
}

// show says how far it is: after the first second, and not too often.
func (p *progress) show(done, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.cmd == nil || now.Sub(p.began) < time.Second || now.Sub(p.last) < 200*time.Millisecond {
		return
	}
	p.last, p.shown = now, true
	fmt.Fprintf(p.cmd.ErrOrStderr(), "\r%d of %d rendered ", done, total)
}

func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.cmd.ErrOrStderr(), "\r\x1b[K")
	}
}

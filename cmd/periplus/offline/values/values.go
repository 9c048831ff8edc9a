// Package values is `periplus values`: the values that a bundle has for a cluster, each with the file and line that set it and
// with what it overrode. It needs no hub.
package values

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/workspace"
	"github.com/periplus-fleet/periplus/cmd/periplus/output"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/offline"
	"github.com/periplus-fleet/periplus/hub/offline/place"
	"github.com/periplus-fleet/periplus/hub/target"
)

// options of one run.
type options struct {
	workspace.Flags
	repo, cluster, format string
	namespace             string
}

// Command is `periplus values`.
func Command(env client.Env) *cobra.Command {
	o := options{}
	cmd := &cobra.Command{
		Use: "values BUNDLE -c CLUSTER", Short: "Show a bundle's values for a cluster, and who set each", Args: cobra.ExactArgs(1),
		Long: `values reads the fleet repo of a folder, as it lies there, and prints each value that a bundle has for a cluster: with the
file and line that set it, and with what that overrode. Lowest come the values of the chart itself, then the source's
valuesFiles, then valuesFrom, then the values of the bundle, of the cluster's target, and of every overlay that matches. BUNDLE is a bundle's name or its folder.

Values that come from Secrets are not shown.`,
		Example: `  periplus values ingress-nginx -c prod-eu
  periplus values bundles/ingress-nginx -c prod-eu -o yaml
  periplus values ingress-nginx -c prod-eu --commit HEAD~1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.namespace = env.Options.Namespace
			return o.run(cmd, args[0])
		},
		ValidArgsFunction: workspace.CompleteBundles(func(*cobra.Command, []string) string { return o.repo }),
	}
	cmd.Flags().StringVarP(&o.cluster, "cluster", "c", "", "the cluster")
	cmd.Flags().StringVar(&o.repo, "repo", ".", "folder of the fleet repo, or one in it")
	cmd.Flags().StringVarP(&o.format, "output", "o", "table", "table, yaml or json")
	o.Bind(cmd)
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("cluster", workspace.CompleteClusters(func(*cobra.Command, []string) string { return o.repo })))
	return cmd
}

func (o options) run(cmd *cobra.Command, name string) error {
	switch {
	case o.cluster == "":
		return client.Usage("values needs --cluster: values differ by cluster")
	case o.format != "table" && o.format != "yaml" && o.format != "json":
		return client.Usage("-o %q: want table, yaml or json", o.format)
	}
	selection := offline.Selection{Bundles: []string{name}, Clusters: []string{o.cluster}}
	folder := o.repo
	if isBundle(name) {
		folder = name
	}
	at, err := place.Find(folder)
	if err != nil {
		return err
	}
	if isBundle(name) {
		selection.Bundles, selection.Below = nil, at.Named
	}
	stages, stop, err := o.Stages(cmd, false)
	if err != nil {
		return err
	}
	defer stop()
	w, err := workspace.Open(cmd.Context(), at, o.Commit, o.namespace, nil)
	if err != nil {
		return err
	}
	pairs, err := w.Pairs(selection)
	if err != nil {
		return workspace.Usage(err)
	}
	if len(pairs) != 1 {
		return o.refused(w, selection, name)
	}
	explained, err := stages.Explain(cmd.Context(), w.Fleet, pairs[0])
	if err != nil {
		for _, hint := range o.Hints([]offline.Failure{{Pair: pairs[0], Err: err}}) {
			fmt.Fprintf(cmd.ErrOrStderr(), "hint: %s\n", hint)
		}
		return fmt.Errorf("cannot explain the values of bundle %q: %w", name, err)
	}
	if err := show(cmd, o.format, explained.Origins); err != nil {
		return err
	}
	if explained.NoChart != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "the chart's own values are not shown: %v\n", explained.NoChart)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s on %s, %s: %s\n", offline.Name(pairs[0].Bundle), o.cluster, chosen(explained.Match, pairs[0].Bundle), w.Describe())
	return nil
}

// isBundle says whether an argument is a bundle's folder.
func isBundle(name string) bool {
	info, err := os.Stat(filepath.Join(name, "bundle.yaml"))
	return err == nil && !info.IsDir()
}

// refused is the error for a folder that is no bundle in force, which mostly has a mistake in it.
func (o options) refused(w *workspace.Workspace, selection offline.Selection, name string) error {
	for _, one := range w.Refused {
		if selection.Concerns(one) {
			return fmt.Errorf("cannot read bundle %q: %s", name, fleet.Describe(one))
		}
	}
	return client.Usage("%q is not one bundle of the fleet repo %s", name, filepath.Join(w.Top, w.Root))
}

// chosen says which target and overlays gave the values.
func chosen(match target.Match, bundle fleet.BundleDecl) string {
	text := "target " + match.Name
	var names []string
	for _, i := range match.Overlays {
		name := bundle.Spec.Overlays[i].Name
		if name == "" {
			name = fmt.Sprint(i)
		}
		names = append(names, name)
	}
	if len(names) > 0 {
		text += ", overlays " + strings.Join(names, ", ")
	}
	return text
}

// row is a value as JSON and YAML show it.
type row struct {
	Path     string `json:"path"`
	Value    any    `json:"value"`
	Unset    bool   `json:"unset,omitempty"`
	Secret   bool   `json:"secret,omitempty"`
	Source   string `json:"source"`
	Layer    string `json:"layer"`
	Overrode []row  `json:"overrode,omitempty"`
}

func rowOf(origin target.ValueOrigin) row {
	out := row{origin.Path, origin.Value, origin.Unset, origin.Secret, origin.Source, origin.Layer, nil}
	for _, below := range origin.Overrode {
		out.Overrode = append(out.Overrode, rowOf(below))
	}
	return out
}

func show(cmd *cobra.Command, format string, origins []target.ValueOrigin) error {
	rows := []row{}
	for _, origin := range origins {
		rows = append(rows, rowOf(origin))
	}
	out := cmd.OutOrStdout()
	switch format {
	case "json":
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(map[string]any{"values": rows})
	case "yaml":
		data, err := yaml.Marshal(map[string]any{"values": rows})
		if err == nil {
			_, err = out.Write(data)
		}
		return err
	}
	return table(out, cmd.ErrOrStderr(), rows)
}

// table prints a line a value.
func table(out, messages io.Writer, rows []row) error {
	if len(rows) == 0 {
		fmt.Fprintln(messages, "it has no values")
		return nil
	}
	base, err := output.New(out, messages, "")
	if err != nil {
		return err
	}
	printer := tablePrinter{base}
	cells := make([][]string, len(rows))
	for i, one := range rows {
		var overrode []string
		for _, below := range one.Overrode {
			overrode = append(overrode, printer.fit(below.text())+" ("+below.where(one.Path)+")")
		}
		cells[i] = []string{one.Path, printer.fit(one.text()), one.Source, output.Dash(strings.Join(overrode, "; "))}
	}
	return printer.Table([]string{"PATH", "VALUE", "SET BY", "OVERRODE"}, cells)
}

// wide is how much of a value a terminal's line shows; pipes, YAML and JSON have all of it.
const wide = 60

// tablePrinter fits values into lines.
type tablePrinter struct{ *output.Printer }

func (p tablePrinter) fit(text string) string {
	if runes := []rune(text); p.Terminal && len(runes) > wide {
		return string(runes[:wide-3]) + "..."
	}
	return text
}

// where a value stood; below another path where a mapping was replaced whole.
func (r row) where(path string) string {
	if r.Path != path {
		return r.Path + ", " + r.Source
	}
	return r.Source
}

// text of a value on one line: strings as they are, everything else as JSON.
func (r row) text() string {
	switch value := r.Value.(type) {
	case string:
		if value != "" && !strings.ContainsAny(value, "\n\t") {
			return value
		}
	default:
		switch {
		case r.Secret:
			return "(secret)"
		case r.Unset:
			return "(unset)"
		}
	}
	data, err := content.CanonicalJSON(r.Value)
	if err != nil {
		return fmt.Sprint(r.Value)
	}
	return string(data)
}

// Package command is `periplus import`: it reads another tool's repository and writes a fleet repo with a report. It needs no
// hub.
package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer/argocd"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer/fleet"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer/flux"
	"github.com/periplus-fleet/periplus/cmd/periplus/output"
)

// flags that every tool has.
type flags struct {
	out   string
	force bool
	local []string
}

// Command is `periplus import`.
func Command(env client.Env, now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use: "import", Short: "Write a fleet repo out of what Rancher Fleet, Argo CD or Flux reads",
		Long: `import reads a folder that Rancher Fleet, Argo CD or Flux is fed from, and writes a fleet repo whose bundles render to the
same objects. What has no equal stands in the report, with file, line and what to do: on standard output, and in
import-report.md beside the bundles. It needs no hub and no network, and changes nothing in the folder that it reads.`,
		Example: `  periplus import flux ./flux2-kustomize-helm-example --out ./fleet
  periplus import argocd ./argocd-example-apps --out ./fleet
  periplus import fleet ./fleet-examples --path simple --out ./fleet`,
	}
	cmd.AddCommand(fromFleet(env, now), fromArgoCD(env), fromFlux(env, now))
	return cmd
}

func fromFleet(env client.Env, now func() time.Time) *cobra.Command {
	var paths []string
	return tool(env, "fleet", "Rancher Fleet", "Import GitRepos and fleet.yaml files of Rancher Fleet",
		"  periplus import fleet ./fleet-examples --path multi-cluster/helm --out ./fleet",
		func(cmd *cobra.Command) {
			cmd.Flags().StringArrayVar(&paths, "path", nil, "folder that a GitRepo names, where the repository holds no GitRepo (repeatable; default: every fleet.yaml)")
		},
		func(ctx context.Context, tree fs.FS, _ string, local map[string]string) (*importer.Repo, error) {
			return fleet.Import(ctx, fleet.Config{Tree: tree, Local: local, Paths: paths, Now: now()})
		})
}

func fromArgoCD(env client.Env) *cobra.Command {
	return tool(env, "argocd", "Argo CD", "Import Applications and ApplicationSets of Argo CD",
		"  periplus import argocd ./gitops --local https://github.com/example/charts=./charts --out ./fleet",
		func(*cobra.Command) {},
		func(ctx context.Context, tree fs.FS, url string, local map[string]string) (*importer.Repo, error) {
			return argocd.Import(ctx, argocd.Config{Tree: tree, URL: url, Local: local})
		})
}

func fromFlux(env client.Env, now func() time.Time) *cobra.Command {
	var clusters string
	return tool(env, "flux", "Flux", "Import Kustomizations and HelmReleases of Flux, by cluster folder",
		"  periplus import flux ./flux2-kustomize-helm-example --clusters clusters --out ./fleet",
		func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&clusters, "clusters", "clusters", "folder that holds one folder for each cluster")
		},
		func(ctx context.Context, tree fs.FS, _ string, local map[string]string) (*importer.Repo, error) {
			return flux.Import(ctx, flux.Config{Tree: tree, Clusters: clusters, Local: local, Now: now()})
		})
}

type run func(ctx context.Context, tree fs.FS, url string, local map[string]string) (*importer.Repo, error)

func tool(env client.Env, name, title, short, example string, bind func(*cobra.Command), read run) *cobra.Command {
	f := flags{}
	cmd := &cobra.Command{
		Use: name + " FOLDER --out FOLDER", Short: short, Args: cobra.ExactArgs(1), Example: example,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.out == "" {
				return client.Usage("say where to write: --out FOLDER\nsee '%s --help'", cmd.CommandPath())
			}
			printer, err := env.Printer(cmd)
			if err != nil {
				return err
			}
			return f.importInto(cmd.Context(), printer, title, args[0], read)
		},
	}
	cmd.Flags().StringVar(&f.out, "out", "", "folder to write the fleet repo to")
	cmd.Flags().BoolVar(&f.force, "force", false, "write although the folder is not empty")
	cmd.Flags().StringArrayVar(&f.local, "local", nil, "URL=FOLDER: a folder below the one that is read stands for a repository or chart (repeatable)")
	bind(cmd)
	return cmd
}

func (f flags) importInto(ctx context.Context, printer *output.Printer, title, folder string, read run) error {
	if err := importer.CheckOut(f.out, f.force); err != nil {
		return err
	}
	local, err := f.locals(folder)
	if err != nil {
		return err
	}
	// Symbolic links must not lead out of what was named.
	root, err := os.OpenRoot(folder)
	if err != nil {
		return fmt.Errorf("cannot read %q: %w", folder, err)
	}
	defer func() { _ = root.Close() }()
	repo, err := read(ctx, root.FS(), remoteOf(folder), local)
	if err != nil {
		return fmt.Errorf("cannot import %q: %w; nothing was written", folder, err)
	}
	files, err := repo.Files(title)
	if err != nil {
		return err
	}
	if err := importer.Write(f.out, files); err != nil {
		return err
	}
	if err := report(printer, repo.Report); err != nil {
		return err
	}
	printer.Hint("\n%d bundles and %d clusters in %s: %d translated, %d work in another way, %d left out (%s).\nNext:\n  periplus render %s --all",
		len(repo.Bundles), len(repo.Clusters), f.out, repo.Report.Count(importer.Translated), repo.Report.Count(importer.Differs),
		repo.Report.Count(importer.LeftOut), filepath.Join(f.out, importer.ReportFile), f.out)
	return nil
}

// locals reads --local; a folder is named as a shell would, and becomes relative to the folder that is read.
func (f flags) locals(folder string) (map[string]string, error) {
	out := map[string]string{}
	for _, one := range f.local {
		cut := strings.LastIndex(one, "=")
		if cut < 0 {
			return nil, client.Usage("--local %q: want URL=FOLDER", one)
		}
		base, err := filepath.Abs(folder)
		if err != nil {
			return nil, err
		}
		named := one[cut+1:]
		if info, err := os.Stat(filepath.Join(folder, named)); err == nil && info.IsDir() && !filepath.IsAbs(named) {
			named = filepath.Join(folder, named)
		}
		full, err := filepath.Abs(named)
		if err != nil {
			return nil, err
		}
		relative, err := filepath.Rel(base, full)
		if err != nil || strings.HasPrefix(relative, "..") {
			return nil, client.Usage("--local %q: the folder must be below %s", one, folder)
		}
		out[one[:cut]] = filepath.ToSlash(relative)
	}
	return out, nil
}

var remoteURL = regexp.MustCompile(`(?s)\[remote "origin"\][^\[]*?url\s*=\s*(\S+)`)

// remoteOf is the address that the folder was cloned from; "" where it is no clone.
func remoteOf(folder string) string {
	data, err := os.ReadFile(filepath.Join(folder, ".git", "config"))
	if err != nil {
		return ""
	}
	if found := remoteURL.FindSubmatch(data); found != nil {
		return string(found[1])
	}
	return ""
}

// row is an entry as JSON and YAML show it.
type row struct {
	Verdict string `json:"verdict"`
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	What    string `json:"what"`
	Became  string `json:"became"`
	Do      string `json:"do,omitempty"`
}

func report(printer *output.Printer, found *importer.Report) error {
	rows := []row{}
	var cells [][]string
	for _, entry := range found.Sorted() {
		rows = append(rows, row{string(entry.Verdict), entry.File, entry.Line, entry.What, entry.Became, entry.Do})
		cells = append(cells, []string{string(entry.Verdict), entry.String(), entry.What, entry.Became, output.Dash(entry.Do)})
	}
	switch printer.Format {
	case "json":
		encoder := json.NewEncoder(printer.Out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(map[string]any{"entries": rows})
	case "yaml":
		data, err := yaml.Marshal(map[string]any{"entries": rows})
		if err == nil {
			_, err = printer.Out.Write(data)
		}
		return err
	default:
		return printer.Table([]string{"VERDICT", "WHERE", "WHAT", "HERE", "DO"}, cells)
	}
}

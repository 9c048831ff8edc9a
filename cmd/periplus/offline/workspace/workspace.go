// Package workspace is what the commands that work without a hub share: it finds and reads the fleet repo around a folder, and
// makes the hub's stages with what a person gives in a hub's stead.
package workspace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/offline"
	"github.com/periplus-fleet/periplus/hub/offline/place"
	"github.com/periplus-fleet/periplus/hub/offline/worktree"
	"github.com/periplus-fleet/periplus/hub/plugins"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/plugins/decrypter/sops"
)

// Flags of every command that renders without a hub.
type Flags struct {
	// Commit instead of the files as they lie there.
	Commit        string
	KubeVersion   string
	APIVersions   []string
	Objects       string
	PluginsConfig string
	PluginsDir    string
	DecryptKeys   string
}

// Bind registers the flags.
func (f *Flags) Bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.Commit, "commit", "", "a commit, branch or tag instead of the files as they lie there")
	flags.StringVar(&f.KubeVersion, "kube-version", "", "Kubernetes version of clusters that declare none, as their agents would report it (default "+render.DefaultKubeVersion+")")
	flags.StringArrayVar(&f.APIVersions, "api-version", nil, "group/version/Kind that clusters serve, as their agents would report it (repeatable; default: what the version serves)")
	flags.StringVar(&f.Objects, "hub-objects", "", "file with the ConfigMaps and Secrets of the hub's API that valuesFrom and secretRef name")
	flags.StringVar(&f.PluginsConfig, "plugins-config", "", "the hub's plugins.yaml, where bundles use external plugins")
	flags.StringVar(&f.PluginsDir, "plugins-dir", "", "folder with the programs of external plugins")
	flags.StringVar(&f.DecryptKeys, "decrypt-keys", "", "folder with *.agekey and *.asc, where bundles have decrypt: hub")
}

// Workspace is a fleet repo on disk that was read.
type Workspace struct {
	*place.Place
	*offline.Fleet
	// Files are the working tree; nil where a commit was asked for.
	Files *worktree.Tree
}

// Open reads the fleet repo around a folder. previous is what is in force there, and stays where this cannot be read; it may be
// nil.
func Open(ctx context.Context, at *place.Place, commit, namespace string, previous *offline.Fleet) (*Workspace, error) {
	w := &Workspace{Place: at}
	var tree fleet.Tree
	if commit == "" {
		files, err := at.Files()
		if err != nil {
			return nil, err
		}
		w.Files, tree = files, files
	} else {
		committed, err := at.Commit(commit)
		if err != nil {
			return nil, err
		}
		tree = committed
	}
	var err error
	w.Fleet, err = offline.Read(ctx, offline.Config{Tree: tree, Root: at.Root, Namespace: namespace, Ref: at.Ref, Previous: previous})
	return w, err
}

// Describe says what was read, for a person: commit, and what is not committed.
func (w *Workspace) Describe() string {
	if w.Files == nil {
		return "commit " + short(w.Snapshot.Commit)
	}
	state, err := w.State(w.Files)
	switch {
	case err != nil:
		return fmt.Sprintf("the working tree (what is not committed is unknown: %v)", err)
	case !w.InGit():
		return "the folder " + w.Top
	case state.Commit == "":
		return "the working tree, before the first commit"
	case len(state.Changed) == 0:
		return "commit " + short(state.Commit) + ", nothing uncommitted"
	case len(state.Changed) == 1:
		return fmt.Sprintf("commit %s with 1 uncommitted file: %s", short(state.Commit), state.Changed[0])
	default:
		return fmt.Sprintf("commit %s with %d uncommitted files: %s, ...", short(state.Commit), len(state.Changed), state.Changed[0])
	}
}

func short(commit string) string { return commit[:min(len(commit), 12)] }

// Stages made of the flags; stop ends the plugins.
func (f *Flags) Stages(cmd *cobra.Command, unmasked bool) (stages *offline.Stages, stop func(), err error) {
	cfg := offline.StagesConfig{ChartFolder: chartFolder(), KubeVersion: f.KubeVersion, APIVersions: f.APIVersions, Unmasked: unmasked}
	stop = func() {}
	if f.Objects != "" {
		if cfg.Objects, err = offline.ReadObjects(f.Objects); err != nil {
			return nil, nil, err
		}
	}
	if f.DecryptKeys != "" {
		folder, err := filepath.Abs(f.DecryptKeys)
		if err != nil {
			return nil, nil, err
		}
		opener := sops.New()
		if err := opener.Configure(map[string]any{"keysDir": folder}); err != nil {
			return nil, nil, fmt.Errorf("cannot take the keys of --decrypt-keys: %w", err)
		}
		cfg.Decrypter = opener
	}
	if f.PluginsDir != "" && f.PluginsConfig == "" {
		return nil, nil, client.Usage("--plugins-dir needs --plugins-config, which declares the plugins")
	}
	if f.PluginsConfig != "" {
		log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
		started, err := plugins.Start(cmd.Context(), plugins.Config{File: f.PluginsConfig, Dir: f.PluginsDir, Log: log})
		if err != nil {
			return nil, nil, err
		}
		cfg.Renderers, stop = started.Renderers(), started.Close
		if opener := started.Decrypter(); opener != nil && cfg.Decrypter == nil {
			cfg.Decrypter = opener
		}
	}
	if stages, err = offline.NewStages(cfg); err != nil {
		stop()
		return nil, nil, err
	}
	return stages, stop, nil
}

// chartFolder keeps charts from one run to the next, where there is such a place.
func chartFolder() string {
	folder, err := os.UserCacheDir()
	if err != nil {
		folder = os.TempDir()
	}
	return filepath.Join(folder, "periplus", "charts")
}

// Hints say what to give for what failed.
func (f *Flags) Hints(failures []offline.Failure) []string {
	var plugin, keys, objects bool
	for _, failure := range failures {
		spec := failure.Bundle.Spec
		needs := len(spec.ValuesFrom) > 0
		source := spec.Source
		for _, target := range spec.Targets {
			needs = needs || len(target.ValuesFrom) > 0
			plugin = plugin || target.Source != nil && target.Source.Plugin != nil
		}
		plugin = plugin || source != nil && source.Plugin != nil
		needs = needs || source != nil && source.Helm != nil && source.Helm.SecretRef != nil
		objects, keys = objects || needs, keys || spec.Decrypt != ""
	}
	var out []string
	if plugin && f.PluginsConfig == "" {
		out = append(out, "external plugins are declared as for the hub: --plugins-config plugins.yaml --plugins-dir FOLDER")
	}
	if keys && f.DecryptKeys == "" && f.PluginsConfig == "" {
		out = append(out, "bundles with decrypt: hub need the hub's keys: --decrypt-keys FOLDER")
	}
	if objects && f.Objects == "" {
		out = append(out, "objects of the hub's API come from a file: kubectl get configmaps,secrets -n fleet -o yaml > hub.yaml, then --hub-objects hub.yaml")
	}
	return out
}

// Usage turns an unknown name into a mistake of usage.
func Usage(err error) error {
	var unknown *offline.UnknownError
	if errors.As(err, &unknown) {
		return client.Usage("%v", err)
	}
	return err
}

// CompleteClusters and CompleteBundles complete names of the fleet repo that folder says.
func CompleteClusters(folder func(*cobra.Command, []string) string) cobra.CompletionFunc {
	return complete(folder, func(f *offline.Fleet) []string { return f.ClusterNames() })
}

// CompleteBundles completes the names of bundles.
func CompleteBundles(folder func(*cobra.Command, []string) string) cobra.CompletionFunc {
	return complete(folder, func(f *offline.Fleet) []string { return f.BundleNames() })
}

func complete(folder func(*cobra.Command, []string) string, names func(*offline.Fleet) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		at, err := place.Find(folder(cmd, args))
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		w, err := Open(ctx, at, "", "", nil)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(w.Fleet), cobra.ShellCompDirectiveNoFileComp
	}
}

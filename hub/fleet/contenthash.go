package fleet

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// ContentHash covers everything that a bundle's rendering may read: its folder, and the whole repository where the bundle
// reaches out of its folder (a chart, base or library elsewhere, a symbolic link), or where a plugin reads what it likes. Equal
// hashes mean equal content.
func ContentHash(tree Tree, folder string, spec v1alpha1.BundleSpec) (string, error) {
	own, err := tree.Hash(folder)
	if err != nil {
		return "", err
	}
	outside, err := reachesOut(tree, folder, spec)
	if err != nil || !outside {
		return own, err
	}
	whole, err := tree.Hash(".")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(own + " " + whole))
	return hex.EncodeToString(sum[:]), nil
}

func reachesOut(tree Tree, folder string, spec v1alpha1.BundleSpec) (bool, error) {
	sources := []*v1alpha1.BundleSource{spec.Source}
	for _, target := range spec.Targets {
		sources = append(sources, target.Source)
	}
	jsonnet := false
	for _, source := range sources {
		if source != nil && source.Plugin != nil {
			return true, nil
		}
		jsonnet = jsonnet || source != nil && source.Jsonnet != nil
		for _, relative := range paths(source) {
			if leaves(relative) {
				return true, nil
			}
		}
	}
	out := false
	err := fs.WalkDir(tree, folder, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("cannot read %q: %w", file, err)
		case entry.Type()&fs.ModeSymlink != 0:
			out = true
		case mayLeave(entry.Name()) || jsonnet && !entry.IsDir():
			// Whatever a Jsonnet file imports is Jsonnet, by whatever name.
			data, err := tree.ReadFile(file)
			if err != nil {
				return err
			}
			out = out || bytes.Contains(data, []byte(".."))
		}
		if out {
			return fs.SkipAll
		}
		return nil
	})
	return out, err
}

func paths(source *v1alpha1.BundleSource) []string {
	switch {
	case source == nil:
		return nil
	case source.Helm != nil:
		return append([]string{source.Helm.Chart}, source.Helm.ValuesFiles...)
	case source.Kustomize != nil:
		return []string{source.Kustomize.Path}
	case source.Jsonnet != nil:
		return append([]string{source.Jsonnet.Path}, source.Jsonnet.ImportPaths...)
	default:
		return nil
	}
}

func leaves(relative string) bool {
	clean := path.Clean(relative)
	return clean == ".." || strings.HasPrefix(clean, "../")
}

// mayLeave names files that may point at others outside their folder: kustomizations, and charts with dependencies beside them.
func mayLeave(name string) bool {
	switch name {
	case "kustomization.yaml", "kustomization.yml", "Kustomization", "Chart.yaml", "requirements.yaml":
		return true
	default:
		return false
	}
}

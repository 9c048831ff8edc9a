package fleet

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
)

// variants is where manifests stand that only some targets have; those beside bundle.yaml are for all others.
const variants = "variants"

// rawFiles are the manifests of a folder: no overlays, nothing of a chart or bundle further down, nothing that .fleetignore
// names.
func (r *reading) rawFiles(root string) (map[string][]byte, error) {
	ignored, err := readIgnore(r.Tree, root)
	if err != nil {
		return nil, err
	}
	return importer.Copy(r.Tree, root, func(relative string) bool {
		if !importer.IsYAML(relative) || strings.HasPrefix(relative, "overlays/") || relative == "fleet.yaml" || relative == "fleet.yml" || ignored(relative) {
			return false
		}
		for folder := path.Dir(relative); folder != "."; folder = path.Dir(folder) {
			full := path.Join(root, folder)
			if strings.HasPrefix(path.Base(folder), ".") || configOf(r.Tree, full) != "" || importer.Exists(r.Tree, path.Join(full, "Chart.yaml")) {
				return false
			}
		}
		return !strings.HasPrefix(path.Base(relative), ".")
	})
}

func readIgnore(files fs.FS, root string) (func(relative string) bool, error) {
	data, err := fs.ReadFile(files, path.Join(root, ".fleetignore"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return func(relative string) bool {
		for line := range strings.Lines(string(data)) {
			pattern := strings.TrimSuffix(strings.TrimSpace(line), "/*")
			for part := relative; pattern != "" && !strings.HasPrefix(pattern, "#") && part != "."; part = path.Dir(part) {
				if matched, _ := path.Match(pattern, part); matched {
					return true
				}
				if matched, _ := path.Match(pattern, path.Base(part)); matched {
					return true
				}
			}
		}
		return false
	}, nil
}

// raw are plain manifests, changed by overlays.
func (m *making) raw(eff options) (*v1alpha1.BundleSource, []v1alpha1.Patch, error) {
	files, err := m.rawFiles(m.folder)
	if err != nil {
		return nil, nil, err
	}
	for name, data := range files {
		if strings.HasPrefix(strings.ToLower(path.Base(name)), "kustomization.y") {
			return nil, nil, &importer.UnsupportedError{At: importer.Position{File: path.Join(m.folder, name)},
				Why: "the folder is a kustomization for some clusters only, and its files are no manifests by themselves", Do: "name a folder with kustomize.dir for these clusters, if they are to get it"}
		}
		documents, err := importer.ParseDocuments(path.Join(m.folder, name), data)
		if err != nil {
			return nil, nil, err
		}
		for _, d := range documents {
			m.moved(d)
		}
	}
	if len(files) == 0 {
		return nil, nil, &importer.UnsupportedError{At: m.d.At(""), Why: "there are no manifests in the folder", Do: ""}
	}
	if eff.YAML == nil || len(eff.YAML.Overlays) == 0 {
		m.Add("", files)
		return nil, nil, nil
	}
	return m.overlaid(files, eff.YAML.Overlays)
}

// overlaid lays overlays over the manifests, in order: a file replaces the one of its name, file_patch.yaml patches it.
func (m *making) overlaid(base map[string][]byte, overlays []string) (*v1alpha1.BundleSource, []v1alpha1.Patch, error) {
	files := map[string][]byte{}
	for name, data := range base {
		files[name] = data
	}
	var patches []v1alpha1.Patch
	replaced := false
	for _, overlay := range overlays {
		folder := path.Join(m.folder, "overlays", overlay)
		if !importer.IsDir(m.Tree, folder) {
			return nil, nil, &importer.UnsupportedError{At: m.d.At("yaml"), Why: fmt.Sprintf("there is no folder %s", folder), Do: "take the overlay's name out"}
		}
		own, err := importer.Copy(m.Tree, folder, importer.IsYAML)
		if err != nil {
			return nil, nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(own)) {
			target := strings.Replace(path.Base(name), "_patch.", ".", 1)
			if target == path.Base(name) {
				files[name], replaced = own[name], true
				continue
			}
			found, err := filePatches(path.Join(folder, name), files[path.Join(path.Dir(name), target)], own[name])
			if err != nil {
				return nil, nil, err
			}
			patches = append(patches, found...)
		}
	}
	if !replaced {
		m.Add("", base)
		return nil, patches, nil
	}
	names := make([]any, 0, len(files))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		names = append(names, name)
	}
	kustomization, err := importer.YAML(map[string]any{"resources": names})
	if err != nil {
		return nil, nil, err
	}
	files["kustomization.yaml"] = kustomization
	m.Bundle.Files[".periplusignore"] = []byte(variants + "/\n")
	folder := m.Add(path.Join(variants, strings.Join(overlays, "-")), files)
	return &v1alpha1.BundleSource{Kustomize: &v1alpha1.KustomizeSource{Path: folder}}, patches, nil
}

// filePatches are the patch for each object of the file that it is for.
func filePatches(file string, target, patch []byte) ([]v1alpha1.Patch, error) {
	documents, err := importer.ParseDocuments(file, target)
	if err != nil {
		return nil, err
	}
	if len(documents) == 0 {
		return nil, &importer.UnsupportedError{At: importer.Position{File: file}, Why: "the file that it patches is not there", Do: "remove it"}
	}
	var out []v1alpha1.Patch
	for _, d := range documents {
		match := &v1alpha1.ObjectMatch{Group: d.Group(), Kind: d.Kind, Name: d.Name, Namespace: d.Namespace}
		found, err := importer.Patches(match, string(patch))
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

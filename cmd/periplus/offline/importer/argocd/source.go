package argocd

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// folder of a source in the tree.
func (r *reading) folder(one source, d importer.Document) (string, error) {
	if strings.Contains(one.Path, mark) {
		return "", &importer.UnsupportedError{At: d.At("spec"), Why: "the path is made of the cluster's name", Do: "put the cluster Secrets into the folder and import again"}
	}
	root, ok := r.checkout(one.RepoURL, one.Path)
	folder := path.Join(root, strings.Trim(one.Path, "/"))
	if !ok || !importer.IsDir(r.Tree, folder) {
		return "", &importer.UnsupportedError{At: d.At("spec.source"), Why: fmt.Sprintf("folder %q of %s is not here", one.Path, one.RepoURL),
			Do: "check the repository out below this folder and import again with --local " + one.RepoURL + "=<its folder>"}
	}
	return folder, nil
}

// kindOf says what renders a folder: what the source names, else what is in it.
func (r *reading) kindOf(one source, folder string) string {
	_, kustomized := importer.KustomizationIn(r.Tree, folder)
	switch {
	case one.Plugin != nil:
		return "plugin"
	case one.Helm != nil && importer.Exists(r.Tree, path.Join(folder, "Chart.yaml")):
		return "helm"
	case one.Kustomize != nil && kustomized:
		return "kustomize"
	case one.Directory != nil:
		return "directory"
	case importer.Exists(r.Tree, path.Join(folder, "Chart.yaml")):
		return "helm"
	case kustomized:
		return "kustomize"
	default:
		return "directory"
	}
}

// variant is one application's form of a source.
func (m *making) variant(app instance, one source) (importer.Variant, error) {
	if one.Chart != "" {
		return m.remoteChart(app, one)
	}
	folder, err := m.folder(one, m.d)
	if err != nil {
		return importer.Variant{}, err
	}
	switch m.kindOf(one, folder) {
	case "plugin":
		return importer.Variant{}, &importer.UnsupportedError{At: m.at("spec.source.plugin"), Why: "a config management plugin is a program of its own",
			Do: "write it as a renderer plugin (source.plugin), or commit what it renders"}
	case "helm":
		return m.chart(app, one, folder)
	case "kustomize":
		return m.kustomization(one, folder)
	default:
		return m.directory(one, folder)
	}
}

func (m *making) kustomization(one source, folder string) (importer.Variant, error) {
	files, err := importer.CopyKustomization(m.Tree, folder)
	if err != nil {
		return importer.Variant{}, err
	}
	if one.Kustomize != nil {
		file, _ := importer.KustomizationIn(m.Tree, folder)
		for _, component := range one.Kustomize.Components {
			more, err := importer.CopyKustomization(m.Tree, path.Join(folder, component))
			if err != nil {
				return importer.Variant{}, err
			}
			for name, data := range more {
				files[name] = data
			}
		}
		if files[file], err = importer.EditYAML(files[file], one.Kustomize.edit); err != nil {
			return importer.Variant{}, err
		}
	}
	m.waves(files)
	root := m.Add("", files)
	return importer.Variant{Source: &v1alpha1.BundleSource{Kustomize: &v1alpha1.KustomizeSource{Path: path.Join(root, folder)}}}, nil
}

// directory is plain manifests, or one Jsonnet file.
func (m *making) directory(one source, folder string) (importer.Variant, error) {
	options := directory{}
	if one.Directory != nil {
		options = *one.Directory
	}
	chosen := func(relative string) bool {
		if !options.Recurse && strings.Contains(relative, "/") || options.Exclude != "" && braces(options.Exclude, relative) {
			return false
		}
		return options.Include == "" || braces(options.Include, relative)
	}
	programs, err := importer.Copy(m.Tree, folder, func(relative string) bool { return chosen(relative) && path.Ext(relative) == ".jsonnet" })
	if err != nil {
		return importer.Variant{}, err
	}
	files, err := importer.Copy(m.Tree, folder, func(relative string) bool { return chosen(relative) && importer.IsYAML(relative) })
	if err != nil {
		return importer.Variant{}, err
	}
	if len(programs) == 1 && len(files) == 0 {
		for name := range programs {
			return m.jsonnet(options, folder, name)
		}
	}
	for name := range programs {
		m.repo.Report.LeftOut(importer.Position{File: path.Join(folder, name)}, "Jsonnet file "+name, "a bundle is one Jsonnet file or manifests", "give it a bundle of its own with source.jsonnet")
	}
	if files, err = m.withoutHooks(folder, files); err != nil {
		return importer.Variant{}, err
	}
	if len(files) == 0 {
		return importer.Variant{}, &importer.UnsupportedError{At: m.at("spec.source"), Why: fmt.Sprintf("there are no manifests in %q", folder), Do: ""}
	}
	m.Add("", files)
	return importer.Variant{}, nil
}

// braces is a pattern of Argo CD: a glob, or several as {a,b}.
func braces(pattern, name string) bool {
	inner, isList := strings.CutPrefix(pattern, "{")
	patterns := []string{pattern}
	if isList {
		patterns = strings.Split(strings.TrimSuffix(inner, "}"), ",")
	}
	for _, one := range patterns {
		if matched, _ := path.Match(strings.TrimSpace(one), name); matched || globbed(strings.TrimSpace(one), name) {
			return true
		}
		if matched, _ := path.Match(strings.TrimSpace(one), path.Base(name)); matched {
			return true
		}
	}
	return false
}

func (m *making) jsonnet(options directory, folder, name string) (importer.Variant, error) {
	files, err := importer.Copy(m.Tree, folder, nil)
	if err != nil {
		return importer.Variant{}, err
	}
	made := &v1alpha1.JsonnetSource{Path: name}
	out := importer.Variant{Source: &v1alpha1.BundleSource{Jsonnet: made}, Values: map[string]any{}}
	if jsonnet := options.Jsonnet; jsonnet != nil {
		vars := jsonnet.ExtVars
		if len(jsonnet.TLAs) > 0 {
			vars, made.ValuesAs = jsonnet.TLAs, "TLAs"
			if len(jsonnet.ExtVars) > 0 {
				return out, &importer.UnsupportedError{At: m.at("spec.source.directory.jsonnet"), Why: "values are external variables or top-level arguments, not both", Do: "make the program take one of them"}
			}
		}
		for _, one := range vars {
			var value any = one.Value
			if one.Code {
				documents, err := importer.ParseDocuments("", []byte("value: "+one.Value))
				if err != nil || len(documents) != 1 {
					return out, &importer.UnsupportedError{At: m.at("spec.source.directory.jsonnet"), Why: fmt.Sprintf("%s is code, and more than a plain value", one.Name), Do: "move it into the program"}
				}
				value = documents[0].Object["value"]
			}
			out.Values[one.Name] = unmarked(importer.Literal(value))
		}
		for _, library := range jsonnet.Libs {
			more, err := importer.Copy(m.Tree, strings.Trim(library, "/"), nil)
			if err != nil {
				return out, err
			}
			made.ImportPaths = append(made.ImportPaths, m.Add(path.Join("lib", path.Base(library)), more))
		}
	}
	m.Add("", files)
	return out, nil
}

// appOfApps reads the applications that an application consists of, and says whether that is all of it.
func (r *reading) appOfApps(d importer.Document, app instance) (whole bool, err error) {
	found := false
	for _, one := range app.sources() {
		if one.valuesOnly() {
			continue
		}
		if one.Chart != "" {
			return false, nil
		}
		folder, err := r.folder(one, d)
		if err != nil || !r.mentions(folder) {
			return false, nil //nolint:nilerr // what is not here cannot be looked into, and is reported when it is delivered
		}
		r.looked[folder] = true
		objects, err := r.rendered(app, one, folder)
		if err != nil {
			r.repo.Report.LeftOut(d.At("spec.source"), d.What(), err.Error(), "mend it and import again")
			return true, nil
		}
		own, others, err := r.children(objects, d)
		if err != nil || own == 0 {
			return false, err
		}
		found = true
		if others {
			r.repo.Report.LeftOut(d.At("spec.source"), d.What(), "it is an app of apps that holds other objects, too", "move those into a folder of their own and give it a bundle")
		}
	}
	return found, nil
}

// mentions says whether a file of a folder names a kind of Argo CD's.
func (r *reading) mentions(folder string) bool {
	found := false
	_ = fs.WalkDir(r.Tree, folder, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || found || entry.IsDir() || !importer.IsYAML(file) {
			return nil //nolint:nilerr // what cannot be read here is reported where it is used
		}
		data, err := fs.ReadFile(r.Tree, file)
		found = err == nil && (strings.Contains(string(data), "kind: Application") || strings.Contains(string(data), "kind: AppProject")) && strings.Contains(string(data), group)
		return nil
	})
	return found
}

func (r *reading) rendered(app instance, one source, folder string) ([]renderer.Object, error) {
	switch r.kindOf(one, folder) {
	case "helm":
		m := &making{reading: r, Bundle: &importer.Bundle{Files: map[string][]byte{}}}
		values, err := m.allValues(app, one, folder)
		if err != nil {
			return nil, err
		}
		return importer.Helm(r.ctx, r.Tree, folder, app.Metadata.Name, app.Spec.Destination.Namespace, values)
	case "kustomize":
		return importer.Kustomize(r.ctx, r.Tree, folder)
	default:
		recurse := one.Directory != nil && one.Directory.Recurse
		files, err := importer.Copy(r.Tree, folder, func(relative string) bool {
			return importer.IsYAML(relative) && (recurse || !strings.Contains(relative, "/"))
		})
		if err != nil {
			return nil, err
		}
		var out []renderer.Object
		for name, data := range files {
			documents, err := importer.ParseDocuments(path.Join(folder, name), data)
			if err != nil {
				return nil, err
			}
			for _, d := range documents {
				out = append(out, renderer.Object{Value: d.Object, Source: d.At("").String()})
			}
		}
		return out, nil
	}
}

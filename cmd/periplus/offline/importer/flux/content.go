package flux

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing/fstest"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// content is a folder as Flux builds it.
type content struct {
	// files by their path in the repository, with the root's kustomization at folder.
	files  map[string][]byte
	folder string
	// made says that the kustomization was made up, plain that nothing was changed.
	made, plain bool
	objects     []renderer.Object
}

// content reads a folder, with a kustomization where it has none, the options written into it and variables filled in.
func (r *reading) content(c *cluster, d importer.Document, k kustomization, folder string) (content, error) {
	out := content{folder: folder, plain: true}
	file, has := importer.KustomizationIn(r.Tree, folder)
	var err error
	if has {
		out.files, err = importer.CopyKustomization(r.Tree, folder)
	} else {
		out.made = true
		out.files, err = r.generate(folder)
		file = path.Join(folder, "kustomization.yaml")
	}
	if err != nil {
		return out, err
	}
	if d.Kind == "folder" && has {
		// Flux itself is not delivered.
		out.files[file], err = importer.EditYAML(out.files[file], withoutFlux)
		if err != nil {
			return out, err
		}
	}
	for _, component := range k.Spec.Components {
		more, err := importer.CopyKustomization(r.Tree, path.Join(folder, component))
		if err != nil {
			return out, err
		}
		maps.Copy(out.files, more)
	}
	if k.edits() {
		out.plain = false
		if out.files[file], err = importer.EditYAML(out.files[file], k.edit); err != nil {
			return out, err
		}
	}
	if k.Spec.PostBuild != nil {
		out.plain = false
		r.fill(c, d, k, out.files)
	}
	memory := fstest.MapFS{}
	for name, data := range out.files {
		memory[name] = &fstest.MapFile{Data: data, Mode: 0o644}
	}
	if string(out.files[file]) == "resources: []\n" {
		return out, nil
	}
	out.objects, err = importer.Kustomize(r.ctx, memory, folder)
	return out, err
}

// prune takes files that hold nothing but objects of Flux's out of a kustomization that was made up, and returns which of the
// objects still have to be taken out one by one.
func (b *content) prune(gone []v1alpha1.Patch) ([]v1alpha1.Patch, error) {
	if !b.made {
		return gone, nil
	}
	root := path.Join(b.folder, "kustomization.yaml")
	dropped := map[string]bool{}
	files := map[string]bool{}
	var problem error
	kustomization, err := importer.EditYAML(b.files[root], func(object map[string]any) {
		resources, _ := object["resources"].([]any)
		object["resources"] = slices.DeleteFunc(slices.Clone(resources), func(one any) bool {
			file := path.Join(b.folder, fmt.Sprint(one))
			documents, err := importer.ParseDocuments(file, b.files[file])
			foreign := func(d importer.Document) bool { return !strings.HasSuffix(d.Group(), own) }
			if problem = errors.Join(problem, err); err != nil || len(documents) == 0 || slices.ContainsFunc(documents, foreign) {
				return false
			}
			for _, d := range documents {
				dropped[d.Kind+" "+d.Name] = true
			}
			files[file] = true
			return true
		})
	})
	if err = errors.Join(err, problem); err != nil {
		return nil, err
	}
	b.files[root] = kustomization
	maps.DeleteFunc(b.files, func(name string, _ []byte) bool { return files[name] })
	return slices.DeleteFunc(gone, func(p v1alpha1.Patch) bool { return dropped[p.Target.Kind+" "+p.Target.Name] }), nil
}

// generate makes up the kustomization that Flux does: every manifest, and every folder that is a kustomization.
func (r *reading) generate(folder string) (map[string][]byte, error) {
	files := map[string][]byte{}
	resources := []any{}
	err := fs.WalkDir(r.Tree, folder, func(file string, entry fs.DirEntry, err error) error {
		relative := strings.TrimPrefix(file, folder+"/")
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != folder && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case entry.IsDir() && file != folder && entry.Name() == systemName:
			return fs.SkipDir // Flux itself
		case entry.IsDir() && file != folder:
			if _, ok := importer.KustomizationIn(r.Tree, file); ok {
				more, err := importer.CopyKustomization(r.Tree, file)
				maps.Copy(files, more)
				resources = append(resources, relative)
				if err != nil {
					return err
				}
				return fs.SkipDir
			}
			return nil
		case entry.IsDir() || path.Ext(file) != ".yaml" && path.Ext(file) != ".yml":
			return nil
		}
		data, err := fs.ReadFile(r.Tree, file)
		files[file] = data
		resources = append(resources, relative)
		return err
	})
	if err != nil {
		return nil, err
	}
	files[path.Join(folder, "kustomization.yaml")], err = importer.YAML(map[string]any{"resources": resources})
	return files, err
}

// edits says whether the options change the kustomization.
func (k kustomization) edits() bool {
	s := k.Spec
	return len(s.Patches)+len(s.Images)+len(s.Components) > 0 || s.NamePrefix+s.NameSuffix+s.TargetNamespace != ""
}

// edit writes the options into the kustomization itself, as Flux does before it builds.
func (k kustomization) edit(object map[string]any) {
	s := k.Spec
	for field, value := range map[string]string{"namePrefix": s.NamePrefix, "nameSuffix": s.NameSuffix, "namespace": s.TargetNamespace} {
		if value != "" {
			object[field] = value
		}
	}
	more := map[string][]any{}
	for _, patch := range s.Patches {
		more["patches"] = append(more["patches"], patch)
	}
	for _, image := range s.Images {
		more["images"] = append(more["images"], image)
	}
	for _, component := range s.Components {
		more["components"] = append(more["components"], component)
	}
	for field, list := range more {
		have, _ := object[field].([]any)
		if field == "images" {
			have = slices.DeleteFunc(slices.Clone(have), func(one any) bool { return named(list, one) })
		}
		object[field] = append(slices.Clone(have), list...)
	}
}

func named(list []any, one any) bool {
	object, _ := one.(map[string]any)
	return slices.ContainsFunc(list, func(other any) bool {
		entry, _ := other.(map[string]any)
		return entry["name"] == object["name"]
	})
}

// fill puts the values of variables into the copied files.
func (r *reading) fill(c *cluster, d importer.Document, k kustomization, files map[string][]byte) {
	vars := map[string]string{}
	for i, from := range k.Spec.PostBuild.SubstituteFrom {
		data, known := c.configs[from.Kind+" "+d.Namespace+"/"+from.Name]
		if !known && !from.Optional {
			r.repo.Report.LeftOut(d.At(fmt.Sprintf("spec.postBuild.substituteFrom[%d]", i)), d.What()+": substituteFrom "+from.Kind+" "+from.Name,
				"its values are not in this repository, so its variables stay as they are written", "give the FleetClusters variables, and write what differs with set: ${{ cluster.variables.<name> }}")
		}
		maps.Copy(vars, data)
	}
	maps.Copy(vars, k.Spec.PostBuild.Substitute)
	for name, data := range files {
		text, unknown := substitute(string(data), vars)
		if text != string(data) {
			files[name] = []byte(text)
		}
		for _, found := range unknown {
			at := importer.Position{File: name, Line: 1 + strings.Count(string(data)[:max(strings.Index(string(data), found), 0)], "\n")}
			r.repo.Report.LeftOut(at, "variable "+found, "it has no value that is known here", "write the value, or set the field with an expression over cluster")
		}
	}
	r.repo.Report.Differs(d.At("spec.postBuild"), d.What()+": postBuild", "variables were filled in while importing, so the copy holds the values of "+c.name,
		"to keep one copy for all clusters, put the values into the FleetClusters' variables and write the fields with set")
}

func withoutFlux(object map[string]any) {
	resources, _ := object["resources"].([]any)
	object["resources"] = slices.DeleteFunc(slices.Clone(resources), func(one any) bool { return one == systemName || one == systemName+"/" || one == "./"+systemName })
}

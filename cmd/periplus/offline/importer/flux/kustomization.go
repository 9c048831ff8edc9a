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

// root reads a cluster's own folder: what Flux was bootstrapped with.
func (r *reading) root(c *cluster, folder string) error {
	k := kustomization{}
	k.Spec.Path = folder
	d := importer.Document{File: folder, Kind: "folder", Name: folder}
	return r.build(c, d, k, folder, systemName+"/"+systemName, "cluster-config")
}

// kustomization translates one that was found on a cluster.
func (r *reading) kustomization(c *cluster, d importer.Document) error {
	key := d.Namespace + "/" + d.Name
	if c.seen[key] {
		return nil
	}
	c.seen[key] = true
	var k kustomization
	if err := d.Decode(&k, r.repo.Report); err != nil {
		return err
	}
	report := r.repo.Report
	c.of[key] = []string{}
	if k.Spec.KubeConfig != nil {
		report.LeftOut(d.At("spec.kubeConfig"), d.What(), "it goes to another cluster than the one whose folder it is in", "put that cluster's folder below "+r.Clusters+"/ and import again")
		return nil
	}
	root, why := r.checkout(c, k.Spec.SourceRef, d.Namespace, k.Spec.Path)
	if why != "" {
		report.LeftOut(d.At("spec.sourceRef"), d.What(), why, "check it out below this folder and import again with --local <url>=<its folder>")
		return nil
	}
	folder := path.Join(root, k.Spec.Path)
	if !importer.IsDir(r.Tree, folder) {
		report.LeftOut(d.At("spec.path"), d.What(), fmt.Sprintf("there is no folder %q", folder), "")
		return nil
	}
	return r.build(c, d, k, folder, key, d.Name)
}

// checkout says which folder a source stands for; why is set where it is not here.
func (r *reading) checkout(c *cluster, ref reference, namespace, folder string) (root, why string) {
	if ref.Namespace != "" {
		namespace = ref.Namespace
	}
	if root, ok := c.artifacts[namespace+"/"+ref.Name]; ok && ref.Kind == "ExternalArtifact" {
		return root, ""
	}
	d, known := c.sources[ref.Kind+" "+namespace+"/"+ref.Name]
	if !known {
		if ref.Name == systemName {
			return ".", ""
		}
		return "", fmt.Sprintf("its source %s %s/%s is not in this repository", ref.Kind, namespace, ref.Name)
	}
	var s source
	if err := d.Decode(&s, r.repo.Report); err != nil {
		return "", err.Error()
	}
	branch := ""
	if s.Spec.Ref != nil {
		branch = s.Spec.Ref.Branch + s.Spec.Ref.Tag + s.Spec.Ref.SemVer
	}
	for _, url := range []string{s.Spec.URL + "#" + branch, s.Spec.URL} {
		if local := r.Local[url]; local != "" {
			return path.Clean(local), ""
		}
	}
	if ref.Name == systemName {
		return ".", ""
	}
	return "", fmt.Sprintf("its source %s (%s) is not in this repository", s.Spec.URL, d.What())
}

// content is a folder as Flux builds it.
type content struct {
	// files by their path in the repository, with the root's kustomization at folder.
	files  map[string][]byte
	folder string
	// made says that the kustomization was made up, plain that nothing was changed.
	made, plain bool
	objects     []renderer.Object
}

// build takes a folder apart into what Flux reconciles further and what is applied.
func (r *reading) build(c *cluster, d importer.Document, k kustomization, folder, key, name string) error {
	built, err := r.content(c, d, k, folder)
	if err != nil {
		if d.Kind == "folder" {
			return fmt.Errorf("cannot read %q: %w", folder, err)
		}
		unsupported := importer.Unsupported(err, d.At("spec.path"))
		r.repo.Report.LeftOut(unsupported.At, d.What(), unsupported.Why, unsupported.Do)
		return nil
	}
	var releases, inner []importer.Document
	var gone []v1alpha1.Patch
	applied := 0
	for _, one := range built.objects {
		object := r.locate(one)
		switch {
		case strings.HasSuffix(object.Group(), own):
			gone = append(gone, drop(object))
			releases, inner = r.sort(c, object, releases, inner)
		default:
			applied++
			c.note(object)
		}
	}
	partKey := "kustomization " + key
	if applied > 0 {
		if gone, err = built.prune(gone); err != nil {
			return err
		}
		p := r.part(partKey, name, d)
		p.forms = append(p.forms, r.form(c, d, k, built, gone))
		c.of[key] = append(c.of[key], partKey)
	}
	for _, object := range inner {
		if err := r.kustomization(c, object); err != nil {
			return err
		}
		c.of[key] = append(c.of[key], c.of[object.Namespace+"/"+object.Name]...)
	}
	for _, object := range releases {
		needs := needed(d.Namespace, k.Spec.DependsOn)
		if applied > 0 {
			needs = append(needs, partKey)
		}
		made, err := r.release(c, object, needs)
		if err != nil {
			return err
		}
		if made != "" {
			c.of[key] = append(c.of[key], made)
		}
	}
	return nil
}

func needed(namespace string, dependencies []dependency) []string {
	var out []string
	for _, one := range dependencies {
		if one.Namespace != "" {
			namespace = one.Namespace
		}
		out = append(out, namespace+"/"+one.Name)
	}
	return out
}

// sort puts one of Flux's own objects where it belongs.
func (r *reading) sort(c *cluster, d importer.Document, releases, inner []importer.Document) (_, _ []importer.Document) {
	switch d.Kind {
	case "HelmRelease":
		releases = append(releases, d)
	case "Kustomization":
		inner = append(inner, d)
	case "GitRepository", "OCIRepository", "HelmRepository", "HelmChart", "Bucket":
		c.sources[d.Kind+" "+d.Namespace+"/"+d.Name] = d
	case "ArtifactGenerator":
		r.artifacts(c, d)
	default:
		r.repo.Report.LeftOut(d.At(""), d.What(), "the kind has no equal that could be written", "see the how-to for what takes its place")
	}
	return releases, inner
}

// note remembers what later steps look up.
func (c *cluster) note(d importer.Document) {
	if d.APIVersion != "v1" {
		return
	}
	switch d.Kind {
	case "Namespace":
		c.namespaces[d.Name] = true
	case "ConfigMap", "Secret":
		data := map[string]string{}
		for _, field := range []string{"data", "stringData"} {
			object, _ := d.Object[field].(map[string]any)
			for key, value := range object {
				if text, ok := value.(string); ok && (d.Kind == "ConfigMap" || field == "stringData") {
					data[key] = text
				}
			}
		}
		if d.Object["sops"] == nil {
			c.configs[d.Kind+" "+d.Namespace+"/"+d.Name] = data
		}
	}
}

// drop takes an object of Flux's out of a bundle: Flux is not there to read it.
func drop(d importer.Document) v1alpha1.Patch {
	return v1alpha1.Patch{Target: &v1alpha1.ObjectMatch{Group: d.Group(), Kind: d.Kind, Namespace: d.Namespace, Name: d.Name}, Patch: "$patch: delete\n"}
}

// locate finds the line that an object was written at.
func (r *reading) locate(one renderer.Object) importer.Document {
	file, _, _ := strings.Cut(one.Source, ":")
	found := importer.NewDocument(file, importer.Document{}.Document, one.Value)
	data, err := fs.ReadFile(r.Tree, file)
	if err != nil {
		return found
	}
	documents, err := importer.ParseDocuments(file, data)
	if err != nil {
		return found
	}
	for _, d := range documents {
		if d.Kind == found.Kind && d.Name == found.Name {
			return importer.NewDocument(file, d.Document, one.Value)
		}
	}
	return found
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

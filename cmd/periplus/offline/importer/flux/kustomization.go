package flux

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

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
	if !d.Read(&k, r.repo.Report) {
		return nil
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

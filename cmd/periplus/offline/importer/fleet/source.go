package fleet

import (
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
)

// merged puts a customization's choice of source over the bundle's.
func merged(base, over options) options {
	out := base
	if over.Kustomize != nil {
		out.Kustomize = over.Kustomize
	}
	if over.YAML != nil {
		out.YAML = over.YAML
	}
	if over.Helm != nil {
		helm := helmOptions{}
		if base.Helm != nil {
			helm = *base.Helm
		}
		for _, field := range []struct{ to, from *string }{{&helm.Chart, &over.Helm.Chart}, {&helm.Repo, &over.Helm.Repo},
			{&helm.Version, &over.Helm.Version}, {&helm.ReleaseName, &over.Helm.ReleaseName}} {
			if *field.from != "" {
				*field.to = *field.from
			}
		}
		out.Helm = &helm
	}
	return out
}

// source says how the folder is rendered with these options, and copies what is needed for it.
func (m *making) source(eff options) (*v1alpha1.BundleSource, []v1alpha1.Patch, error) {
	dir := ""
	if eff.Kustomize != nil {
		dir = eff.Kustomize.Dir
	}
	kustomization := path.Join(m.folder, dir)
	_, hasKustomization := importer.KustomizationIn(m.Tree, kustomization)
	isChart := eff.Helm != nil && eff.Helm.Chart != "" || importer.Exists(m.Tree, path.Join(m.folder, "Chart.yaml"))
	switch {
	case isChart:
		source, err := m.chart(eff.Helm)
		if err != nil || !hasKustomization {
			return source, nil, err
		}
		patches, err := m.after(kustomization)
		return source, patches, err
	case hasKustomization:
		return m.kustomize(kustomization)
	case importer.IsDir(m.Tree, path.Join(m.folder, "templates")):
		source, err := m.templates(eff.Helm)
		return source, nil, err
	default:
		return m.raw(eff)
	}
}

// local is a path as seen from the bundle's folder: files below Fleet's folder keep their place.
func (m *making) local(file string) string {
	if m.folder == "." {
		return file
	}
	return strings.TrimPrefix(strings.TrimPrefix(file, m.folder), "/")
}

// copied puts files, by their path in the repository, beside bundle.yaml. Where one lies outside of the bundle's folder, all
// keep the path that they have in the repository, so that they still find each other.
func (m *making) copied(files map[string][]byte, entry string) string {
	inside := true
	for name := range files {
		inside = inside && (m.folder == "." || strings.HasPrefix(name, m.folder+"/"))
	}
	out := map[string][]byte{}
	for name, data := range files {
		if inside {
			name = m.local(name)
		}
		out[name] = data
	}
	if inside {
		entry = m.local(entry)
	}
	return path.Join(m.Add("", out), entry)
}

func (m *making) chart(helm *helmOptions) (*v1alpha1.BundleSource, error) {
	if helm == nil {
		helm = &helmOptions{}
	}
	out := &v1alpha1.HelmSource{ReleaseName: helm.ReleaseName, Version: helm.Version, ValuesFiles: m.valuesFiles()}
	at := m.d.At("helm.chart")
	folder := path.Join(m.folder, helm.Chart)
	if mapped := m.Local[helm.Chart]; mapped != "" {
		folder = mapped
	}
	switch {
	case strings.HasPrefix(helm.Repo, "oci://"):
		out.OCI = strings.TrimRight(helm.Repo, "/") + "/" + helm.Chart
	case helm.Repo != "":
		out.Repository, out.Name = strings.TrimRight(helm.Repo, "/"), helm.Chart
	case strings.HasPrefix(helm.Chart, "oci://"):
		out.OCI = helm.Chart
	case importer.Exists(m.Tree, path.Join(folder, "Chart.yaml")):
		files, err := importer.CopyChart(m.Tree, folder)
		if err != nil {
			return nil, err
		}
		out.Version = ""
		beside := map[string][]byte{}
		for name, data := range files {
			if path.Base(name) != path.Base(configOf(m.Tree, m.folder)) || path.Dir(name) != m.folder {
				beside[name] = data
			}
		}
		out.Chart = m.Add("chart", strip(beside, folder))
	default:
		return nil, &importer.UnsupportedError{At: at, Why: fmt.Sprintf("chart %q is neither in this repository nor in a chart repository", helm.Chart),
			Do: "unpack it into this repository and import again with --local '" + helm.Chart + "=<its folder>'"}
	}
	return &v1alpha1.BundleSource{Helm: out}, nil
}

// strip takes a folder off where all files are below it.
func strip(files map[string][]byte, folder string) map[string][]byte {
	out := map[string][]byte{}
	for name, data := range files {
		relative, below := strings.CutPrefix(name, folder+"/")
		if !below && folder != "." {
			return files
		}
		out[relative] = data
	}
	return out
}

// templates without a Chart.yaml are a chart for Fleet, which makes one up.
func (m *making) templates(helm *helmOptions) (*v1alpha1.BundleSource, error) {
	files, err := importer.Copy(m.Tree, path.Join(m.folder, "templates"), nil)
	if err != nil {
		return nil, err
	}
	chart := map[string][]byte{"Chart.yaml": []byte("apiVersion: v2\nname: " + m.Name + "\nversion: 0.0.0\n")}
	for name, data := range files {
		chart["templates/"+name] = data
	}
	out := &v1alpha1.HelmSource{Chart: m.Add("chart", chart), ValuesFiles: m.valuesFiles()}
	if helm != nil {
		out.ReleaseName = helm.ReleaseName
	}
	return &v1alpha1.BundleSource{Helm: out}, nil
}

// after are the patches that a kustomization makes to a chart's objects.
func (m *making) after(folder string) ([]v1alpha1.Patch, error) {
	file, _ := importer.KustomizationIn(m.Tree, folder)
	data, err := fs.ReadFile(m.Tree, file)
	if err != nil {
		return nil, err
	}
	documents, err := importer.ParseDocuments(file, data)
	if err != nil || len(documents) == 0 {
		return nil, err
	}
	patches, rest, err := importer.PatchesOf(m.Tree, folder, documents[0])
	if err != nil {
		return nil, &importer.UnsupportedError{At: documents[0].At(""), Why: err.Error(), Do: "write the patch into the target"}
	}
	for _, field := range rest {
		m.repo.Report.LeftOut(documents[0].At(field), "kustomization "+folder+": "+field, "behind a chart only patches are translated", "write it as patches or set of the target")
	}
	return patches, nil
}

func (m *making) kustomize(folder string) (*v1alpha1.BundleSource, []v1alpha1.Patch, error) {
	files, err := importer.CopyKustomization(m.Tree, folder)
	if err != nil {
		return nil, nil, err
	}
	objects, err := importer.Kustomize(m.ctx, m.Tree, folder)
	if err != nil {
		return nil, nil, &importer.UnsupportedError{At: importer.Position{File: folder}, Why: err.Error(), Do: "mend the kustomization and import again"}
	}
	for _, object := range objects {
		m.moved(importer.NewDocument("", importer.Document{}.Document, object.Value))
	}
	return &v1alpha1.BundleSource{Kustomize: &v1alpha1.KustomizeSource{Path: m.copied(files, folder)}}, nil, nil
}

// moved notes that Fleet's namespace goes over the one that an object names itself.
func (m *making) moved(d importer.Document) {
	forced := m.yaml.Namespace
	if m.from.namespace != "" {
		forced = m.from.namespace
	}
	if forced == "" || d.Namespace == "" || d.Namespace == forced {
		return
	}
	rule := v1alpha1.SetValue{Target: v1alpha1.ObjectMatch{Namespace: d.Namespace}, Pointer: "/metadata/namespace", Value: *importer.JSON(forced)}
	if !slices.ContainsFunc(m.Spec.Set, func(s v1alpha1.SetValue) bool { return reflect.DeepEqual(s, rule) }) {
		m.Spec.Set = append(m.Spec.Set, rule)
	}
}

func sameSource(a, b *v1alpha1.BundleSource) bool { return reflect.DeepEqual(a, b) }

func same(a, b v1alpha1.ClusterMatch) bool { return reflect.DeepEqual(a, b) }

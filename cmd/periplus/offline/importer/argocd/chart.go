package argocd

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"helm.sh/helm/v4/pkg/strvals"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
)

// remoteChart is one of a chart repository.
func (m *making) remoteChart(app instance, one source) (importer.Variant, error) {
	helm := &v1alpha1.HelmSource{Version: one.TargetRevision}
	switch {
	case strings.HasPrefix(one.RepoURL, "oci://"):
		helm.OCI = strings.TrimRight(one.RepoURL, "/") + "/" + one.Chart
	case !strings.Contains(one.RepoURL, "://"):
		// Argo CD names registries without a scheme.
		helm.OCI = "oci://" + strings.TrimRight(one.RepoURL, "/") + "/" + one.Chart
	default:
		helm.Repository, helm.Name = strings.TrimRight(one.RepoURL, "/"), one.Chart
	}
	return m.helm(app, one, helm, "")
}

func (m *making) chart(app instance, one source, folder string) (importer.Variant, error) {
	files, err := importer.CopyChart(m.Tree, folder)
	if err != nil {
		return importer.Variant{}, err
	}
	m.waves(files)
	at := m.Add("", files)
	return m.helm(app, one, &v1alpha1.HelmSource{Chart: path.Join(at, folder)}, folder)
}

// helm translates the options that both kinds of charts have.
func (m *making) helm(app instance, one source, to *v1alpha1.HelmSource, folder string) (importer.Variant, error) {
	options := helmSource{}
	if one.Helm != nil {
		options = *one.Helm
	}
	to.SkipCRDs = options.SkipCRDs
	if to.ReleaseName = app.Metadata.Name; options.ReleaseName != "" {
		to.ReleaseName = options.ReleaseName
	}
	if strings.Contains(to.ReleaseName, mark) {
		to.ReleaseName = m.Name
		m.repo.Report.Differs(m.at("spec.template.metadata.name"), m.d.What()+": release name", "the release is called "+m.Name+" on every cluster, where Argo CD put the cluster's name into it",
			"set releaseName in targets of their own, if objects that run already are named after it")
	}
	if to.ReleaseName == m.Name {
		to.ReleaseName = ""
	}
	for field, given := range map[string]bool{"skipSchemaValidation": options.SkipSchema, "namespace": options.Namespace != "", "kubeVersion": options.KubeVersion != "", "apiVersions": len(options.APIVersions) > 0} {
		if given {
			m.repo.Report.Differs(m.at("spec.source.helm."+field), m.d.What()+": helm."+field, "a chart's schema always counts; namespace and capabilities are the bundle's and the cluster's", "")
		}
	}
	if m.needsFolded(options) {
		values, err := m.allValues(app, one, folder)
		return importer.Variant{Source: &v1alpha1.BundleSource{Helm: to}, Values: prepared(values)}, err
	}
	for i, name := range options.ValueFiles {
		file, err := m.valuesFile(app, name, folder)
		if err != nil {
			return importer.Variant{}, err
		}
		data, err := fs.ReadFile(m.Tree, file)
		if err != nil {
			if options.IgnoreMissing {
				continue
			}
			return importer.Variant{}, &importer.UnsupportedError{At: m.at(fmt.Sprintf("spec.source.helm.valueFiles[%d]", i)), Why: fmt.Sprintf("values file %q is not there", file), Do: "take its name out, or add it"}
		}
		to.ValuesFiles = append(to.ValuesFiles, path.Join(m.Add("values", map[string][]byte{path.Base(file): data}), path.Base(file)))
	}
	values, err := m.inline(app, options, map[string]any{})
	return importer.Variant{Source: &v1alpha1.BundleSource{Helm: to}, Values: prepared(values)}, err
}

// prepared keeps Argo CD's texts from being read as expressions, and makes expressions of facts of the cluster.
func prepared(values map[string]any) map[string]any {
	return unmarked(importer.LiteralMap(values)).(map[string]any)
}

// needsFolded is true where a parameter changes an item of a list that a values file may hold: lists replace each other.
func (m *making) needsFolded(options helmSource) bool {
	for _, one := range options.Parameters {
		if strings.Contains(one.Name, "[") && len(options.ValueFiles) > 0 {
			return true
		}
	}
	return false
}

// allValues are those of the files, with everything else over them.
func (m *making) allValues(app instance, one source, folder string) (map[string]any, error) {
	values, options := map[string]any{}, helmSource{}
	if one.Helm != nil {
		options = *one.Helm
	}
	for _, name := range options.ValueFiles {
		file, err := m.valuesFile(app, name, folder)
		if err != nil {
			return nil, err
		}
		data, err := fs.ReadFile(m.Tree, file)
		if err != nil && options.IgnoreMissing {
			continue
		}
		if err != nil {
			return nil, err
		}
		documents, err := importer.ParseDocuments(file, data)
		if err != nil {
			return nil, err
		}
		for _, d := range documents {
			values = importer.Merge(values, d.Object)
		}
	}
	return m.inline(app, options, values)
}

// valuesFile finds one beside the chart, from the repository's root, or in a source that it refers to as $ref.
func (m *making) valuesFile(app instance, name, folder string) (string, error) {
	name = m.environment(app, name)
	if reference, isReference := strings.CutPrefix(name, "$"); isReference {
		ref, rest, _ := strings.Cut(reference, "/")
		for _, one := range app.sources() {
			if one.Ref != ref {
				continue
			}
			root, ok := m.checkout(one.RepoURL, rest)
			if ok {
				return path.Join(root, rest), nil
			}
			return "", &importer.UnsupportedError{At: m.at("spec.sources"), Why: fmt.Sprintf("values file %q is in %s, which is not here", rest, one.RepoURL),
				Do: "check the repository out below this folder and import again with --local " + one.RepoURL + "=<its folder>"}
		}
		return "", &importer.UnsupportedError{At: m.at("spec.sources"), Why: fmt.Sprintf("no source has ref %q", ref), Do: ""}
	}
	if strings.Contains(name, "://") {
		return "", &importer.UnsupportedError{At: m.at("spec.source.helm.valueFiles"), Why: fmt.Sprintf("values file %q is fetched", name), Do: "copy it into the repository"}
	}
	if strings.HasPrefix(name, "/") {
		return strings.TrimLeft(path.Clean(name), "/"), nil
	}
	return path.Join(folder, name), nil
}

// inline puts what stands in the application itself over the values: values, then valuesObject in its place, then parameters.
func (m *making) inline(app instance, options helmSource, values map[string]any) (map[string]any, error) {
	own := options.ValuesObject
	if own == nil && strings.TrimSpace(options.Values) != "" {
		documents, err := importer.ParseDocuments("spec.source.helm.values", []byte(options.Values))
		if err != nil {
			return nil, err
		}
		if len(documents) > 0 {
			own = documents[0].Object
		}
	}
	values = importer.Merge(values, own)
	for _, one := range options.Parameters {
		text := one.Name + "=" + commas(m.environment(app, one.Value))
		parse := strvals.ParseInto
		if one.ForceString {
			parse = strvals.ParseIntoString
		}
		if err := parse(text, values); err != nil {
			return nil, fmt.Errorf("parameter %q: %w", one.Name, err)
		}
	}
	for _, one := range options.FileParameters {
		file := path.Join("/", m.environment(app, one.Path))[1:]
		data, err := fs.ReadFile(m.Tree, file)
		if err != nil {
			return nil, fmt.Errorf("file parameter %q: %w", one.Name, err)
		}
		read := func([]rune) (any, error) { return string(data), nil }
		if err := strvals.ParseIntoFile(one.Name+"=x", values, read); err != nil {
			return nil, fmt.Errorf("file parameter %q: %w", one.Name, err)
		}
	}
	return whole(values), nil
}

// whole gives numbers of parameters the form that values have everywhere.
func whole(values map[string]any) map[string]any {
	if len(values) == 0 {
		return values
	}
	documents, err := importer.ParseDocuments("", importer.JSON(values).Raw)
	if err != nil || len(documents) == 0 {
		return values
	}
	return documents[0].Object
}

// commas are part of a parameter's value, except in a list {a,b}.
func commas(value string) string {
	if strings.HasPrefix(value, "{") && strings.HasSuffix(value, "}") {
		return value
	}
	return strings.ReplaceAll(strings.ReplaceAll(value, `\,`, ","), ",", `\,`)
}

// environment fills in what Argo CD lets parameters ask for.
func (m *making) environment(app instance, text string) string {
	for name, value := range map[string]string{"ARGOCD_APP_NAME": app.Metadata.Name, "ARGOCD_APP_NAMESPACE": app.Spec.Destination.Namespace, "ARGOCD_APP_PROJECT_NAME": app.Spec.Project} {
		text = strings.ReplaceAll(text, "${"+name+"}", value)
		if text == "$"+name || strings.Contains(text, "$"+name) && !strings.Contains(text, "$"+name+"_") {
			text = strings.ReplaceAll(text, "$"+name, value)
		}
	}
	return text
}

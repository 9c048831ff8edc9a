package flux

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/strvals"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
)

// release translates a HelmRelease on one cluster and returns the key of its part; "" where nothing can be written.
func (r *reading) release(c *cluster, d importer.Document, needs []string) (string, error) {
	var h helmRelease
	if !d.Read(&h, r.repo.Report) {
		return "", nil
	}
	if h.Spec.KubeConfig != nil {
		r.repo.Report.LeftOut(d.At("spec.kubeConfig"), d.What(), "it goes to another cluster than the one whose folder it is in", "put that cluster's folder below "+r.Clusters+"/ and import again")
		return "", nil
	}
	namespace := d.Namespace
	if h.Spec.TargetNamespace != "" {
		namespace = h.Spec.TargetNamespace
	}
	// Clusters that put the release elsewhere need a bundle of their own: a bundle has one namespace.
	key := "release " + d.Namespace + "/" + d.Name + " in " + namespace
	p := r.part(key, d.Name, d)
	for _, one := range h.Spec.DependsOn {
		theirs := d.Namespace
		if one.Namespace != "" {
			theirs = one.Namespace
		}
		for other := range r.parts {
			if strings.HasPrefix(other, "release "+theirs+"/"+one.Name+" in ") {
				needs = append(needs, other)
			}
		}
		needs = append(needs, "release "+theirs+"/"+one.Name+" in "+theirs)
	}
	p.forms = append(p.forms, form{cluster: c, needs: unique(needs),
		settle: func(b *importer.Bundle) { r.settleRelease(b, c, d, h, namespace) },
		write:  func(b *importer.Bundle, _ bool) (importer.Variant, error) { return r.chart(b, c, d, h) }})
	return key, nil
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// chart is the release's chart with its values.
func (r *reading) chart(b *importer.Bundle, c *cluster, d importer.Document, h helmRelease) (importer.Variant, error) {
	out := importer.Variant{Source: &v1alpha1.BundleSource{Helm: &v1alpha1.HelmSource{}}}
	helm := out.Source.Helm
	files, err := r.find(b, c, d, h, helm)
	if err != nil {
		return out, err
	}
	helm.ReleaseName = d.Name
	if h.Spec.TargetNamespace != "" {
		helm.ReleaseName = h.Spec.TargetNamespace + "-" + d.Name
	}
	if h.Spec.ReleaseName != "" {
		helm.ReleaseName = h.Spec.ReleaseName
	}
	if helm.ReleaseName == b.Name {
		helm.ReleaseName = ""
	}
	helm.SkipCRDs = h.Spec.Install != nil && h.Spec.Install.CRDs == "Skip"
	helm.Tests = h.Spec.Test != nil && h.Spec.Test.Enable
	if out.Values, out.From, err = r.values(c, d, h, files); err != nil {
		return out, err
	}
	for i, post := range h.Spec.PostRenderers {
		at := fmt.Sprintf("spec.postRenderers[%d].kustomize", i)
		patches, rest, err := importer.PatchesOf(r.Tree, ".", importer.NewDocument(d.File, importer.Document{}.Document, post.Kustomize))
		if err != nil {
			return out, &importer.UnsupportedError{At: d.At(at), Why: err.Error(), Do: "write the patch into the bundle"}
		}
		for _, field := range rest {
			r.repo.Report.LeftOut(d.At(at+"."+field), d.What()+": postRenderers: "+field, "behind a chart only patches are translated", "write it as patches or set of the bundle")
		}
		out.Patches = append(out.Patches, patches...)
	}
	return out, nil
}

// find says where the chart comes from; files are those of its own repository, where it is in one.
func (r *reading) find(b *importer.Bundle, c *cluster, d importer.Document, h helmRelease, helm *v1alpha1.HelmSource) (values []map[string]any, err error) {
	if h.Spec.ChartRef != nil {
		return nil, r.chartRef(c, d, *h.Spec.ChartRef, helm)
	}
	if h.Spec.Chart == nil {
		return nil, &importer.UnsupportedError{At: d.At("spec"), Why: "it names no chart", Do: ""}
	}
	chart := h.Spec.Chart.Spec
	if chart.SourceRef.Kind != "HelmRepository" {
		root, why := r.checkout(c, chart.SourceRef, d.Namespace, chart.Chart)
		folder := path.Join(root, chart.Chart)
		if why != "" || !importer.Exists(r.Tree, path.Join(folder, "Chart.yaml")) {
			return nil, &importer.UnsupportedError{At: d.At("spec.chart.spec.sourceRef"), Why: "its chart is not in this repository: " + why + " " + folder,
				Do: "check the repository out below this folder and import again with --local <url>=<its folder>"}
		}
		files, err := importer.CopyChart(r.Tree, folder)
		if err != nil {
			return nil, err
		}
		helm.Chart = path.Join(b.Add("", files), folder)
		return r.chartValues(root, d, chart.ValuesFiles, chart.IgnoreMissing)
	}
	if len(chart.ValuesFiles) > 0 {
		r.repo.Report.LeftOut(d.At("spec.chart.spec.valuesFiles"), d.What()+": chart.valuesFiles", "files inside a fetched chart cannot be chosen", "copy what they say into values")
	}
	s, err := r.source(c, chart.SourceRef, d)
	if err != nil {
		return nil, err
	}
	helm.Version = chart.Version
	if strings.HasPrefix(s.Spec.URL, "oci://") {
		helm.OCI = strings.TrimRight(s.Spec.URL, "/") + "/" + chart.Chart
	} else {
		helm.Repository, helm.Name = strings.TrimRight(s.Spec.URL, "/"), chart.Chart
	}
	return nil, nil
}

// chartRef is a chart as an OCI artifact.
func (r *reading) chartRef(c *cluster, d importer.Document, ref reference, helm *v1alpha1.HelmSource) error {
	if ref.Kind != "OCIRepository" {
		return &importer.UnsupportedError{At: d.At("spec.chartRef"), Why: "its chart comes from a " + ref.Kind, Do: "name the chart's repository in source.helm"}
	}
	s, err := r.source(c, ref, d)
	if err != nil {
		return err
	}
	helm.OCI = s.Spec.URL
	switch given := s.Spec.Ref; {
	case given == nil:
	case given.Digest != "":
		return &importer.UnsupportedError{At: d.At("spec.chartRef"), Why: "its chart is named by digest", Do: "name the version; the hub records the digest that it resolves to"}
	case given.SemVer != "":
		helm.Version = given.SemVer
	default:
		helm.Version = given.Tag
	}
	return nil
}

// source finds the repository of a chart, and reports the credentials that it needs.
func (r *reading) source(c *cluster, ref reference, from importer.Document) (source, error) {
	namespace := ref.Namespace
	if namespace == "" {
		namespace = from.Namespace
	}
	var s source
	d, known := c.sources[ref.Kind+" "+namespace+"/"+ref.Name]
	if !known {
		return s, &importer.UnsupportedError{At: from.At("spec.chart"), Why: fmt.Sprintf("%s %s/%s is not in this repository", ref.Kind, namespace, ref.Name), Do: "write its address into source.helm"}
	}
	if err := d.Decode(&s, r.repo.Report); err != nil {
		return s, err
	}
	if s.Spec.SecretRef != nil || s.Spec.CertRef != nil {
		r.repo.Report.Differs(d.At("spec"), d.What()+": credentials", "a chart's credentials stand beside the FleetRepo", "make the Secret in the hub's namespace and name it in source.helm.secretRef")
	}
	if s.Spec.Verify != nil {
		r.repo.Report.LeftOut(d.At("spec.verify"), d.What()+": verify", "signatures of charts are not checked", "")
	}
	return s, nil
}

func (r *reading) chartValues(root string, d importer.Document, names []string, ignoreMissing bool) ([]map[string]any, error) {
	var out []map[string]any
	for i, name := range names {
		file := path.Join(root, name)
		data, err := fs.ReadFile(r.Tree, file)
		if err != nil && ignoreMissing {
			continue
		}
		if err != nil {
			return nil, &importer.UnsupportedError{At: d.At(fmt.Sprintf("spec.chart.spec.valuesFiles[%d]", i)), Why: fmt.Sprintf("values file %q is not there", file), Do: ""}
		}
		documents, err := importer.ParseDocuments(file, data)
		if err != nil {
			return nil, err
		}
		for _, one := range documents {
			out = append(out, one.Object)
		}
	}
	return out, nil
}

// values are layered as Flux does: the chart's files, then valuesFrom in order, then values.
func (r *reading) values(c *cluster, d importer.Document, h helmRelease, files []map[string]any) (map[string]any, []v1alpha1.ValuesReference, error) {
	merged := map[string]any{}
	for _, values := range files {
		merged = importer.Merge(merged, values)
	}
	var from []v1alpha1.ValuesReference
	for i, one := range h.Spec.ValuesFrom {
		key := one.ValuesKey
		if key == "" {
			key = "values.yaml"
		}
		text, known := c.configs[one.Kind+" "+d.Namespace+"/"+one.Name][key]
		if known {
			var err error
			if merged, err = over(merged, one.TargetPath, text); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", d.At(fmt.Sprintf("spec.valuesFrom[%d]", i)), err)
			}
			continue
		}
		reference := v1alpha1.ValuesReference{Optional: one.Optional}
		if one.TargetPath != "" {
			reference.At = "/" + strings.ReplaceAll(one.TargetPath, ".", "/")
		}
		if one.Kind == "Secret" {
			reference.Secret = &v1alpha1.KeyReference{Name: one.Name, Key: one.ValuesKey}
		} else {
			reference.ConfigMap = &v1alpha1.KeyReference{Name: one.Name, Key: one.ValuesKey}
		}
		from = append(from, reference)
		r.repo.Report.Differs(d.At(fmt.Sprintf("spec.valuesFrom[%d]", i)), d.What()+": valuesFrom "+one.Name, one.Kind+" of the hub's namespace, not of the cluster", "make it there")
	}
	return importer.LiteralMap(importer.Merge(merged, h.Spec.Values)), from, nil
}

func over(values map[string]any, at, text string) (map[string]any, error) {
	if at != "" {
		out := importer.Merge(values, nil)
		return out, strvals.ParseInto(at+"="+strings.ReplaceAll(text, ",", `\,`), out)
	}
	documents, err := importer.ParseDocuments("values", []byte(text))
	for _, one := range documents {
		values = importer.Merge(values, one.Object)
	}
	return values, err
}

// settleRelease translates how a release is delivered.
func (r *reading) settleRelease(b *importer.Bundle, c *cluster, d importer.Document, h helmRelease, namespace string) {
	report, s, what := r.repo.Report, h.Spec, d.What()
	b.Spec.Namespace, b.Spec.ServiceAccountName, b.Spec.Health.Timeout = namespace, s.ServiceAccountName, s.Timeout
	if s.CommonMetadata != nil {
		b.Spec.Labels, b.Spec.Annotations = s.CommonMetadata.Labels, s.CommonMetadata.Annotations
	}
	if s.Suspend {
		r.suspended(b, d)
	}
	if s.Install != nil && s.Install.CreateNamespace && !c.namespaces[namespace] {
		r.repo.Namespace(b, namespace, nil, nil)
	}
	if s.Install != nil && s.Install.DisableHooks || s.Upgrade != nil && (s.Upgrade.DisableHooks || s.Upgrade.Force) {
		report.Differs(d.At("spec.upgrade"), what+": disableHooks, force", "a chart's hooks are run, and no object is made anew", "")
	}
	if s.Upgrade != nil && s.Upgrade.CRDs != "" && s.Upgrade.CRDs != "CreateReplace" || s.Upgrade == nil || s.Upgrade.CRDs == "" {
		report.Differs(d.At("spec.upgrade.crds"), what+": CRDs", "a chart's CRDs are upgraded with it", "set skipCRDs and deliver them by a bundle of their own, if they must stay as they are")
	}
	b.Spec.Drift.Mode = v1alpha1.DriftReport
	if s.DriftDetection == nil {
		return
	}
	if s.DriftDetection.Mode == "enabled" {
		b.Spec.Drift.Mode = ""
	}
	for i, rule := range s.DriftDetection.Ignore {
		out := v1alpha1.DriftIgnoreRule{Pointers: rule.Paths}
		if target := rule.Target; target != nil {
			name, ok := importer.Wildcard(target.Name)
			if !ok {
				report.LeftOut(d.At(fmt.Sprintf("spec.driftDetection.ignore[%d]", i)), what+": driftDetection.ignore", "a rule names objects by name, with * as the only pattern", "write it into drift.ignore")
				continue
			}
			out.Group, out.Kind, out.Namespace, out.Name = target.Group, target.Kind, target.Namespace, name
		}
		if out.Pointers = slices.DeleteFunc(slices.Clone(rule.Paths), func(p string) bool { return p == "" }); len(out.Pointers) > 0 {
			b.Spec.Drift.Ignore = append(b.Spec.Drift.Ignore, out)
		}
	}
}

package fleet

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"strings"

	"github.com/Masterminds/semver/v3"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/target/expr"
	"github.com/periplus-fleet/periplus/hub/target/layer"
)

func (c bundleCheck) source(field string, source *v1alpha1.BundleSource) {
	if source == nil {
		return
	}
	given := 0
	for _, set := range []bool{source.Helm != nil, source.Kustomize != nil, source.Jsonnet != nil, source.Plugin != nil, source.Git != nil} {
		if set {
			given++
		}
	}
	if given > 1 {
		c.refuse(field, "give one of helm, kustomize, jsonnet, plugin and git")
	}
	if source.Git != nil {
		c.refuse(field+".git", "source git "+notYet+"; keep the content in this repository, or give a target its own ref")
	}
	if source.Kustomize != nil {
		c.path(field+".kustomize.path", source.Kustomize.Path)
	}
	if source.Helm != nil {
		c.helm(field+".helm", source.Helm)
	}
	if source.Jsonnet != nil {
		c.jsonnet(field+".jsonnet", source.Jsonnet)
	}
	if source.Plugin != nil {
		c.plugin(field+".plugin", source.Plugin)
	}
}

func (c bundleCheck) helm(field string, helm *v1alpha1.HelmSource) {
	places := 0
	for _, given := range []string{helm.Chart, helm.Repository, helm.OCI} {
		if given != "" {
			places++
		}
	}
	remote := helm.Repository != "" || helm.OCI != ""
	switch {
	case places == 0:
		c.refuse(field, "say where the chart is: chart (its folder, relative to the bundle's), repository with name, or oci")
	case places > 1:
		c.refuse(field, "give one of chart, repository and oci")
	case helm.Repository != "" && helm.Name == "":
		c.refuse(field+".name", "name is required: the chart's name in the repository")
	case helm.Repository == "" && helm.Name != "":
		c.refuse(field+".name", "name goes with repository alone")
	}
	if helm.Repository != "" {
		c.url(field+".repository", helm.Repository, "http", "https")
	}
	if helm.OCI != "" {
		c.url(field+".oci", helm.OCI, "oci")
		if last := path.Base(helm.OCI); strings.ContainsAny(last, ":@") {
			c.refuse(field+".oci", "write the chart's version into version, not behind the reference")
		}
	}
	if remote {
		c.version(field+".version", helm.Version)
	} else if helm.Version != "" {
		c.refuse(field+".version", "a chart beside the bundle is taken as it is; version goes with repository and oci")
	}
	if helm.SecretRef != nil {
		if !remote {
			c.refuse(field+".secretRef", "secretRef goes with repository and oci")
		}
		c.name(field+".secretRef.name", helm.SecretRef.Name)
	}
	c.path(field+".chart", helm.Chart)
	for i, file := range helm.ValuesFiles {
		c.path(fmt.Sprintf("%s.valuesFiles[%d]", field, i), file)
	}
	if problems := validation.IsDNS1123Label(helm.ReleaseName); helm.ReleaseName != "" && (len(problems) > 0 || len(helm.ReleaseName) > 53) {
		c.refuse(field+".releaseName", "%q is no release name", helm.ReleaseName)
	}
}

func (c bundleCheck) version(field, version string) {
	if version == "" {
		c.refuse(field, "version is required: one, or a range such as ~1.4")
		return
	}
	if _, err := semver.NewConstraint(version); err != nil {
		c.refuse(field, "%q is no version and no range of versions", version)
	}
}

func (c bundleCheck) url(field, text string, schemes ...string) {
	if expr.Has(text) {
		c.refuse(field, "${{ }} is not evaluated in a source; use a target with its own source")
		return
	}
	parsed, err := url.Parse(text)
	valid := false
	if err == nil && parsed.Host != "" {
		for _, scheme := range schemes {
			valid = valid || parsed.Scheme == scheme
		}
	}
	switch {
	case !valid:
		c.refuse(field, "%q is no address that begins with %s://", text, strings.Join(schemes, ":// or "))
	case parsed.User != nil:
		c.refuse(field, "credentials do not belong into Git; put them into a Secret and name it in secretRef")
	}
}

func (c bundleCheck) name(field, name string) {
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		c.refuse(field, "%q is no name: %s", name, problems[0])
	}
}

func (c bundleCheck) jsonnet(field string, jsonnet *v1alpha1.JsonnetSource) {
	c.path(field+".path", jsonnet.Path)
	for i, folder := range jsonnet.ImportPaths {
		c.path(fmt.Sprintf("%s.importPaths[%d]", field, i), folder)
	}
	switch jsonnet.ValuesAs {
	case "", "ExtVars", "TLAs":
	default:
		c.refuse(field+".valuesAs", "must be ExtVars or TLAs, not %q", jsonnet.ValuesAs)
	}
}

// plugin checks what can be known of a plugin here: whether the hub has it, and what it takes, shows when it renders.
func (c bundleCheck) plugin(field string, plugin *v1alpha1.PluginSource) {
	if problems := validation.IsDNS1123Label(plugin.Name); len(problems) > 0 {
		c.refuse(field+".name", "%q is no name of a plugin: %s", plugin.Name, problems[0])
	}
	for _, builtin := range []string{"helm", "kustomize", "jsonnet", "manifests"} {
		if plugin.Name == builtin {
			c.refuse(field+".name", "%s is built in; see the fields of source", builtin)
		}
	}
	c.path(field+".path", plugin.Path)
	decoded, err := DecodeJSON(plugin.Config)
	if _, isObject := decoded.(map[string]any); err != nil || plugin.Config != nil && decoded != nil && !isObject {
		c.refuse(field+".config", "config is a mapping")
	}
	if problems := c.expr.Expressions(decoded, field+".config"); len(problems) > 0 {
		c.refuse(problems[0], "${{ }} is not evaluated in a source; use values")
	}
}

// path must stay inside the repository, seen from the bundle's folder.
func (c bundleCheck) path(field, relative string) {
	if expr.Has(relative) {
		c.refuse(field, "${{ }} is not evaluated in a source; use a target with its own source")
		return
	}
	if path.IsAbs(relative) || !fs.ValidPath(path.Join(path.Dir(c.file), relative)) {
		c.refuse(field, "%q leads out of the repository", relative)
	}
}

// takesValues says whether a source's renderer takes values.
func takesValues(source *v1alpha1.BundleSource) bool {
	return source != nil && (source.Helm != nil || source.Jsonnet != nil || source.Plugin != nil)
}

const takesNone = "the renderer takes no values; use set or patches"

// takenByAll refuses values that meet a renderer which takes none, on the target of some cluster.
func (c bundleCheck) takenByAll(field string, spec v1alpha1.BundleSpec) {
	for i, target := range spec.Targets {
		switch {
		case target.Source == nil && !takesValues(spec.Source):
			c.refuse(field, takesNone)
			return
		case target.Source != nil && !takesValues(target.Source):
			c.refuse(field, "the renderer of spec.targets[%d].source takes no values; use set or patches", i)
			return
		}
	}
	if len(spec.Targets) == 0 && !takesValues(spec.Source) {
		c.refuse(field, takesNone)
	}
}

// values checks one layer of values, and says whether it holds any.
func (c bundleCheck) values(field string, values *apiextensionsv1.JSON) bool {
	if values == nil {
		return false
	}
	decoded, err := DecodeJSON(values)
	object, isObject := decoded.(map[string]any)
	switch {
	case err != nil:
		c.refuse(field, "%v", err)
	case !isObject && decoded != nil:
		c.refuse(field, "values is a mapping")
	}
	c.expressions(field, decoded)
	for _, problem := range layer.Check(object, expr.Has) {
		c.refuse(field+"."+problem.Path, "%v", problem.Err)
	}
	return len(object) > 0
}

func (c bundleCheck) valuesFrom(field string, references []v1alpha1.ValuesReference) {
	for i, reference := range references {
		at := fmt.Sprintf("%s[%d]", field, i)
		key := reference.ConfigMap
		switch {
		case (reference.ConfigMap != nil) == (reference.Secret != nil):
			c.refuse(at, "give one of configMap and secret")
			continue
		case reference.Secret != nil:
			key = reference.Secret
			at += ".secret"
		default:
			at += ".configMap"
		}
		c.name(at+".name", key.Name)
		if problems := validation.IsConfigMapKey(key.Key); key.Key != "" && len(problems) > 0 {
			c.refuse(at+".key", "%q is no key: %s", key.Key, problems[0])
		}
		if reference.At != "" {
			c.pointer(fmt.Sprintf("%s[%d].at", field, i), reference.At)
		}
	}
}

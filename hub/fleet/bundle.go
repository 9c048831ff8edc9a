package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/target/expr"
)

const notYet = "is not supported in this version"

// ParseBundle reads a bundle.yaml. What later versions bring is refused by name here, never applied half.
func ParseBundle(file string, data []byte, namespace string, evaluator *expr.Evaluator) (BundleDecl, []v1alpha1.Refusal) {
	documents, refused := parseFile(file, data, namespace)
	if len(refused) > 0 {
		return BundleDecl{}, refused
	}
	if len(documents) != 1 {
		return BundleDecl{}, []v1alpha1.Refusal{refusal(file, 0, "", "the file holds one Bundle, not %d documents", len(documents))}
	}
	d := documents[0]
	if d.apiVersion != v1alpha1.GroupVersion.String() || d.kind != "Bundle" {
		d.refuse("kind", "the file holds a Bundle of %s", v1alpha1.GroupVersion)
		return BundleDecl{}, d.refused
	}
	var bundle v1alpha1.Bundle
	if d.decode(&bundle) && len(d.refused) == 0 {
		check := bundleCheck{document: d, expr: evaluator}
		check.spec(bundle.Spec, bundle.Name)
	}
	decl := BundleDecl{Key: delivery.Key(namespace + "/" + d.name), Path: path.Dir(file), Spec: bundle.Spec, File: file,
		Line: d.Line, Lines: d.Lines()}
	for i, target := range bundle.Spec.Targets {
		var compiled labels.Selector
		if target.ClusterSelector != nil {
			compiled = d.selector(fmt.Sprintf("spec.targets[%d].clusterSelector", i), target.ClusterSelector)
		}
		decl.Selectors = append(decl.Selectors, compiled)
	}
	return decl, d.refused
}

// bundleCheck holds the rules that no schema says.
type bundleCheck struct {
	*document
	expr *expr.Evaluator
}

func (c bundleCheck) spec(spec v1alpha1.BundleSpec, name string) {
	c.source("spec.source", spec.Source)
	c.values("spec", spec.Values, spec.Source)
	c.expressions("spec.namespace", spec.Namespace)
	if problems := validation.IsDNS1123Label(spec.Namespace); spec.Namespace != "" && !expr.Has(spec.Namespace) && len(problems) > 0 {
		c.refuse("spec.namespace", "%q is no namespace: %s", spec.Namespace, problems[0])
	}
	c.labels(spec.Labels)
	c.set("spec.set", spec.Set)
	c.patches("spec.patches", spec.Patches)
	c.targets(spec)
	c.dependsOn(spec.DependsOn, name)
	c.behaviour(spec)
}

func (c bundleCheck) expressions(field string, value any) {
	for _, problem := range c.expr.Check(value, field) {
		c.refuse(problem.Path, "%v", problem.Err)
	}
}

func (c bundleCheck) source(field string, source *v1alpha1.BundleSource) {
	if source == nil {
		return
	}
	given := 0
	for name, set := range map[string]bool{"helm": source.Helm != nil, "kustomize": source.Kustomize != nil, "plugin": source.Plugin != nil, "git": source.Git != nil} {
		if set {
			given++
		}
		if set && (name == "plugin" || name == "git") {
			c.refuse(field+"."+name, "source %s "+notYet, name)
		}
	}
	if given > 1 {
		c.refuse(field, "give one of helm, kustomize, plugin and git")
	}
	if source.Kustomize != nil {
		c.path(field+".kustomize.path", source.Kustomize.Path)
	}
	if source.Helm != nil {
		c.helm(field+".helm", source.Helm)
	}
}

func (c bundleCheck) helm(field string, helm *v1alpha1.HelmSource) {
	for _, later := range []struct{ name, value string }{
		{"repository", helm.Repository}, {"oci", helm.OCI}, {"name", helm.Name}, {"version", helm.Version},
	} {
		if later.value != "" {
			c.refuse(field+"."+later.name, "a chart from a repository "+notYet+"; put it into the fleet repo and name its folder in chart")
		}
	}
	if helm.Chart == "" && helm.Repository == "" && helm.OCI == "" {
		c.refuse(field, "chart is required: the chart's folder, relative to the bundle's")
	}
	c.path(field+".chart", helm.Chart)
	for i, file := range helm.ValuesFiles {
		c.path(fmt.Sprintf("%s.valuesFiles[%d]", field, i), file)
	}
	if problems := validation.IsDNS1123Label(helm.ReleaseName); helm.ReleaseName != "" && (len(problems) > 0 || len(helm.ReleaseName) > 53) {
		c.refuse(field+".releaseName", "%q is no release name", helm.ReleaseName)
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

func (c bundleCheck) values(at string, values *apiextensionsv1.JSON, source *v1alpha1.BundleSource) {
	if values == nil {
		return
	}
	field := at + ".values"
	decoded, err := DecodeJSON(values)
	switch object, isObject := decoded.(map[string]any); {
	case err != nil:
		c.refuse(field, "%v", err)
	case !isObject && decoded != nil:
		c.refuse(field, "values is a mapping")
	case isObject && len(object) > 0 && (source == nil || source.Helm == nil):
		c.refuse(field, "the renderer takes no values; use set or patches")
	}
	c.expressions(field, decoded)
}

func (c bundleCheck) labels(given map[string]string) {
	for key, value := range given {
		field := "spec.labels." + key
		c.expressions(field, value)
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			c.refuse(field, "no valid label key: %s", problems[0])
		}
		if problems := validation.IsValidLabelValue(value); !expr.Has(value) && len(problems) > 0 {
			c.refuse(field, "no valid label value: %s", problems[0])
		}
		if strings.HasPrefix(key, v1alpha1.Group+"/") {
			c.refuse(field, "labels of %s/ are set by the agent", v1alpha1.Group)
		}
	}
}

func (c bundleCheck) set(field string, values []v1alpha1.SetValue) {
	for i, value := range values {
		at := fmt.Sprintf("%s[%d]", field, i)
		c.pointer(at+".pointer", value.Pointer)
		c.match(at+".target", value.Target)
		if !strings.HasPrefix(value.Pointer, "/metadata/") && value.Pointer == "/kind" || value.Pointer == "/apiVersion" || value.Pointer == "/metadata/name" {
			c.refuse(at+".pointer", "what names an object cannot be set")
		}
		decoded, err := DecodeJSON(&value.Value)
		if err != nil || value.Value.Raw == nil {
			c.refuse(at+".value", "value is required")
		}
		c.expressions(at+".value", decoded)
	}
}

var pointerEscape = regexp.MustCompile(`~([^01]|$)`)

func (c bundleCheck) pointer(field, pointer string) {
	if !strings.HasPrefix(pointer, "/") || pointerEscape.MatchString(pointer) {
		c.refuse(field, "%q is no JSON pointer, such as /spec/replicas", pointer)
	}
}

func (c bundleCheck) match(field string, match v1alpha1.ObjectMatch) {
	if _, err := path.Match(match.Name, ""); err != nil {
		c.refuse(field+".name", "no valid pattern: %v", err)
	}
}

func (c bundleCheck) patches(field string, patches []v1alpha1.Patch) {
	for i, patch := range patches {
		at := fmt.Sprintf("%s[%d]", field, i)
		if patch.Target != nil {
			c.match(at+".target", *patch.Target)
		}
		if strings.TrimSpace(patch.Patch) == "" {
			c.refuse(at+".patch", "patch is required")
		}
		c.expressions(at+".patch", patch.Patch)
	}
}

// DecodeJSON gives a JSON value as maps, lists, strings, booleans, int64 and float64.
func DecodeJSON(raw *apiextensionsv1.JSON) (any, error) {
	if raw == nil || len(raw.Raw) == 0 {
		return nil, nil
	}
	var value any
	decoder := json.NewDecoder(strings.NewReader(string(raw.Raw)))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return numbers(value)
}

func numbers(value any) (any, error) {
	var failed error
	switch typed := value.(type) {
	case json.Number:
		if whole, err := typed.Int64(); err == nil {
			return whole, nil
		}
		return typed.Float64()
	case []any:
		for i := range typed {
			var err error
			typed[i], err = numbers(typed[i])
			failed = errors.Join(failed, err)
		}
	case map[string]any:
		for key := range typed {
			var err error
			typed[key], err = numbers(typed[key])
			failed = errors.Join(failed, err)
		}
	}
	return value, failed
}

package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
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
	var matchers Matchers
	if d.decode(&bundle) && len(d.refused) == 0 {
		check := bundleCheck{document: d, expr: evaluator}
		check.spec(bundle.Spec, bundle.Name)
		matchers = check.matchers(bundle.Spec)
	}
	decl := BundleDecl{Key: delivery.Key(namespace + "/" + d.name), Path: path.Dir(file), Spec: bundle.Spec, File: file,
		Line: d.Line, Lines: d.Lines(), Matchers: matchers}
	return decl, d.refused
}

// bundleCheck holds the rules that no schema says.
type bundleCheck struct {
	*document
	expr *expr.Evaluator
}

func (c bundleCheck) spec(spec v1alpha1.BundleSpec, name string) {
	c.source("spec.source", spec.Source)
	if c.values("spec.values", spec.Values) {
		c.takenByAll("spec.values", spec)
	}
	c.valuesFrom("spec.valuesFrom", spec.ValuesFrom)
	if len(spec.ValuesFrom) > 0 {
		c.takenByAll("spec.valuesFrom", spec)
	}
	c.expressions("spec.namespace", spec.Namespace)
	if problems := validation.IsDNS1123Label(spec.Namespace); spec.Namespace != "" && !expr.Has(spec.Namespace) && len(problems) > 0 {
		c.refuse("spec.namespace", "%q is no namespace: %s", spec.Namespace, problems[0])
	}
	c.labels(spec.Labels)
	c.annotations(spec.Annotations)
	c.set("spec.set", spec.Set)
	c.patches("spec.patches", spec.Patches)
	c.targets(spec)
	c.overlays(spec)
	c.tolerations(spec.Tolerations)
	c.generated(spec)
	c.dependsOn(spec.DependsOn, name)
	c.behaviour(spec)
}

func (c bundleCheck) expressions(field string, value any) {
	for _, problem := range c.expr.Check(value, field) {
		c.refuse(problem.Path, "%v", problem.Err)
	}
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

func (c bundleCheck) annotations(given map[string]string) {
	for key, value := range given {
		field := "spec.annotations." + key
		c.expressions(field, value)
		if problems := validation.IsQualifiedName(strings.ToLower(key)); len(problems) > 0 {
			c.refuse(field, "no valid annotation key: %s", problems[0])
		}
		if strings.HasPrefix(key, v1alpha1.Group+"/") {
			c.refuse(field, "annotations of %s/ are set by the agent, or stand at their objects", v1alpha1.Group)
		}
	}
}

// generated checks what is opened or made up at the hub.
func (c bundleCheck) generated(spec v1alpha1.BundleSpec) {
	if spec.Decrypt != "" && spec.Decrypt != v1alpha1.DecryptHub {
		c.refuse("spec.decrypt", "must be hub, not %q; left out, the agent opens sealed manifests", spec.Decrypt)
	}
	for i, rule := range spec.Generate.Once {
		at := fmt.Sprintf("spec.generate.once[%d]", i)
		c.match(at, rule.ObjectMatch)
		if len(rule.Pointers) == 0 {
			c.refuse(at+".pointers", "pointers is required: the fields that differ at each rendering, such as /data/password")
		}
		for j, pointer := range rule.Pointers {
			field := fmt.Sprintf("%s.pointers[%d]", at, j)
			c.pointer(field, pointer)
			if namesObject(pointer) {
				c.refuse(field, "what names an object cannot be made up")
			}
		}
	}
}

// namesObject says whether a pointer leads to an object's identity.
func namesObject(pointer string) bool {
	return pointer == "/kind" || pointer == "/apiVersion" || pointer == "/metadata" || pointer == "/metadata/name" || pointer == "/metadata/namespace"
}

func (c bundleCheck) set(field string, values []v1alpha1.SetValue) {
	for i, value := range values {
		at := fmt.Sprintf("%s[%d]", field, i)
		c.pointer(at+".pointer", value.Pointer)
		c.match(at+".target", value.Target)
		if value.Pointer == "/kind" || value.Pointer == "/apiVersion" || value.Pointer == "/metadata/name" {
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

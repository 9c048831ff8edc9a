package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// template is a Gatekeeper ConstraintTemplate, compiled once for all its constraints.
type template struct {
	kind   string
	digest string
	source string
	title  string
	// declared is the object as it was read.
	declared map[string]any
	// schema of parameters, which gives their defaults.
	schema map[string]any
	// loose says that the schema does not close its objects.
	loose bool
	query query
	// blind asks the rules that do not depend on data.inventory, for where nobody knows it; empty where all depend on it.
	blind []query
	// time and inventory say what verdicts depend on beside the object and the parameters.
	time, inventory bool
	// operations at admission that it is for; none is all.
	operations []string
	builtins   []string
}

// gatekeeperTarget is the only target whose input is known.
const gatekeeperTarget = "admission.k8s.gatekeeper.sh"

type templateObject struct {
	APIVersion string
	Metadata   struct {
		Name        string
		Annotations map[string]string
	}
	Spec struct {
		CRD struct {
			Spec struct {
				Names      struct{ Kind string }
				Validation struct {
					OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
					LegacySchema    *bool          `json:"legacySchema"`
				}
			}
		}
		Targets []templateTarget
	}
}

type templateTarget struct {
	Target     string
	Rego       string
	Libs       []string
	Operations []string
	Code       []struct {
		Engine string
		Source struct {
			Rego    string
			Libs    []string
			Version string
		}
	}
}

// code of the target: modules, the entry first, and their version of the language. Templates are Rego v0 unless they say v1.
func (t templateTarget) code() (modules []string, version ast.RegoVersion, err error) {
	if t.Rego != "" {
		return append([]string{t.Rego}, t.Libs...), ast.RegoV0, nil
	}
	var engines []string
	for _, code := range t.Code {
		if code.Engine != "Rego" {
			engines = append(engines, code.Engine)
			continue
		}
		version = ast.RegoV0
		if code.Source.Version == "v1" {
			version = ast.RegoV1
		}
		return append([]string{code.Source.Rego}, code.Source.Libs...), version, nil
	}
	if len(engines) > 0 {
		return nil, 0, fmt.Errorf("the template has code for %s only: Rego is what is read", strings.Join(engines, ", "))
	}
	return nil, 0, errors.New("the template has no code")
}

// decodeInto reads an object into a type, and gives its text.
func decodeInto(object map[string]any, into any) (text string, err error) {
	data, err := json.Marshal(object)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	return string(data), err
}

// readTemplate compiles a template. A failure of the compiler itself is an error as any other.
func readTemplate(d Manifest) (t *template, err error) {
	file, _ := splitSource(d.Source)
	defer contain(file, &err)
	var o templateObject
	data, err := decodeInto(d.Object, &o)
	if err != nil {
		return nil, refuseAt(d.Source, "spec", "cannot read the ConstraintTemplate: %v", err)
	}
	kind := o.Spec.CRD.Spec.Names.Kind
	switch {
	case kind == "":
		return nil, refuseAt(d.Source, "spec.crd.spec.names.kind", "the ConstraintTemplate needs a kind")
	case o.Metadata.Name != strings.ToLower(kind):
		return nil, refuseAt(d.Source, "metadata.name", "ConstraintTemplate %q must be named %q, as its kind in lower case", o.Metadata.Name, strings.ToLower(kind))
	case len(o.Spec.Targets) != 1 || o.Spec.Targets[0].Target != gatekeeperTarget:
		return nil, refuseAt(d.Source, "spec.targets", "ConstraintTemplate %q must have one target, %s", o.Metadata.Name, gatekeeperTarget)
	}
	texts, version, err := o.Spec.Targets[0].code()
	if err != nil {
		return nil, refuseAt(d.Source, "spec.targets", "%v", err)
	}
	t = &template{kind: kind, operations: o.Spec.Targets[0].Operations, declared: d.Object, source: d.Source, schema: o.Spec.CRD.Spec.Validation.OpenAPIV3Schema, title: o.Metadata.Annotations["metadata.gatekeeper.sh/title"],
		digest: digestText("template", data)}
	// Before v1 a template's schema left its objects open unless it said otherwise.
	legacy := o.Spec.CRD.Spec.Validation.LegacySchema
	if t.loose = o.APIVersion != "templates.gatekeeper.sh/v1"; legacy != nil {
		t.loose = *legacy
	}
	if err := t.compile(o.Metadata.Name, texts, version); err != nil {
		return nil, refuseAt(d.Source, "spec.targets", "cannot compile ConstraintTemplate %q: %s", o.Metadata.Name, oneLine(err.Error()))
	}
	return t, nil
}

func (t *template) compile(name string, texts []string, version ast.RegoVersion) error {
	modules := map[string]*ast.Module{}
	var entry *ast.Package
	for i, text := range texts {
		path := fmt.Sprintf("%s/lib%d.rego", name, i)
		if i == 0 {
			path = name + ".rego"
		}
		m, err := ast.ParseModuleWithOpts(path, text, ast.ParserOptions{RegoVersion: version, Capabilities: capabilities()})
		if err != nil {
			return err
		}
		if m == nil {
			return fmt.Errorf("%s is empty", path)
		}
		own := packageName(m)
		switch {
		case i == 0:
			entry = m.Package
			if !slices.ContainsFunc(m.Rules, func(r *ast.Rule) bool { return r.Head.Ref()[0].Value.String() == "violation" }) {
				return errors.New("there is no violation rule")
			}
		case !isLibrary(own):
			return fmt.Errorf("the package of libs[%d] is %s, and must stand below lib", i-1, own)
		}
		if err := t.admit(m, own); err != nil {
			return err
		}
		modules[path] = m
	}
	compiler := ast.NewCompiler().WithCapabilities(capabilities()).WithDefaultRegoVersion(version)
	if compiler.Compile(modules); compiler.Failed() {
		return compiler.Errors
	}
	t.time, t.builtins = readsOf(compiler.Modules).Time, builtinsOf(compiler)
	var err error
	if t.query, err = newQuery(compiler, entry.Path, "violation"); err != nil || !t.inventory {
		return err
	}
	t.blind, err = blinded(compiler, modules, entry, version)
	return err
}

// admit limits what a module may refer to, and turns data.inventory into a part of the input: a snapshot has no store that
// changes, and an input is shared as it is.
func (t *template) admit(m *ast.Module, own string) error {
	var problem error
	ast.WalkRefs(m, func(ref ast.Ref) bool {
		if !ref.HasPrefix(ast.DefaultRootRef) {
			return false
		}
		first, _ := constant(ref, 1)
		switch {
		case first == "inventory":
			t.inventory = true
			ref[0] = ast.InputRootDocument.Copy()
		case first != "lib" && !within(ref, own) && !ref.Equal(m.Package.Path) && problem == nil:
			problem = fmt.Errorf("%s is neither in its package, nor in data.lib, nor in data.inventory", ref)
		}
		return false
	})
	for _, imported := range m.Imports {
		if ref, ok := imported.Path.Value.(ast.Ref); ok && ref.HasPrefix(ast.InputRootRef) {
			if first, _ := constant(ref, 1); first == "inventory" {
				t.inventory = true
			}
		}
	}
	return problem
}

// defaulted gives a value what its schema says where it says nothing, as an API server does.
func defaulted(value any, schema map[string]any) any {
	if items, ok := value.([]any); ok {
		of, _ := schema["items"].(map[string]any)
		out := make([]any, len(items))
		for i, item := range items {
			out[i] = defaulted(item, of)
		}
		return out
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return value
	}
	out := maps.Clone(fields)
	properties, _ := schema["properties"].(map[string]any)
	for name, property := range properties {
		inner, _ := property.(map[string]any)
		if _, there := out[name]; !there && inner["default"] != nil {
			out[name] = inner["default"]
		}
		if _, there := out[name]; there {
			out[name] = defaulted(out[name], inner)
		}
	}
	return out
}

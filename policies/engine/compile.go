package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// Policy is one Rego package, compiled.
type Policy struct {
	Name     string
	Metadata Metadata
	// Digest of the package's files and of the library files that it uses.
	Digest string
	Reads  Reads
	// Builtins are the names of the built-in functions that it calls, sorted.
	Builtins []string
	// Frozen says why a newer version was refused; "" when this is the newest.
	Frozen string
	// File and Line of the package.
	File string
	Line int

	paths []string
	// files are those that it was compiled of, its libraries among them.
	files []File
	rules map[string]*ast.Location
	// queries are the rules that are asked, in order, and exceptions what lifts them, where a conftest package has it.
	queries    []query
	exceptions *query
	shape      shape
	// declared says that METADATA has a custom block.
	declared bool
	// constraint is set where the policy is one of Gatekeeper's.
	constraint *constraint
}

// module is one parsed file.
type module struct {
	File
	parsed *ast.Module
	// old says why the file is no Rego v1, where it is v0; nil where it is v1.
	old error
}

// refused is an error with the place it is about.
type refused struct {
	v1alpha1.Refusal
}

func (r refused) Error() string { return r.Message }

func refuse(file string, line int, field, format string, args ...any) refused {
	return refused{v1alpha1.Refusal{File: file, Line: int32(line), Field: field, Message: fmt.Sprintf(format, args...)}}
}

func parse(file File) (m *module, err error) {
	defer contain(file.Path, &err)
	options := ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV1, Capabilities: capabilities()}
	parsed, problem := ast.ParseModuleWithOpts(file.Path, file.Text, options)
	if problem != nil {
		options.RegoVersion = ast.RegoV0
		if parsed, err = ast.ParseModuleWithOpts(file.Path, file.Text, options); err != nil {
			return nil, regoRefusal(file.Path, problem)
		}
	}
	if parsed == nil {
		return nil, refuse(file.Path, 1, "", "the file is empty: a policy begins with a package")
	}
	m = &module{File: file, parsed: parsed}
	if problem != nil {
		m.old = regoRefusal(file.Path, problem)
	}
	return m, nil
}

// contain turns a panic of the compiler, which releases of OPA have had on valid policies, into a refusal.
func contain(file string, err *error) {
	if problem := recover(); problem != nil {
		*err = refuse(file, 0, "", "cannot compile: the Rego compiler failed: %v", problem)
	}
}

func regoRefusal(file string, err error) error {
	var all ast.Errors
	if errors.As(err, &all) && len(all) > 0 && all[0].Location != nil {
		return refuse(cmp.Or(all[0].Location.File, file), all[0].Location.Row, "", "cannot compile: %s: %s", all[0].Code, oneLine(all[0].Message))
	}
	var one *ast.Error
	if errors.As(err, &one) && one.Location != nil {
		return refuse(cmp.Or(one.Location.File, file), one.Location.Row, "", "cannot compile: %s: %s", one.Code, oneLine(one.Message))
	}
	return refuse(file, 0, "", "cannot compile: %s", oneLine(err.Error()))
}

// oneLine of a text; most are one already.
func oneLine(text string) string {
	space := true
	for i := range len(text) {
		switch c := text[i]; {
		case c >= utf8.RuneSelf, c < ' ', c == ' ' && space:
			return strings.Join(strings.Fields(text), " ")
		default:
			space = c == ' '
		}
	}
	return strings.TrimSuffix(text, " ")
}

// linked is a package with all that it reaches.
type linked struct {
	name string
	own  []*module
	// used are its files and those of libraries, by path; documents are the names of those that it reads.
	used      []*module
	documents []string
	digest    string
}

// compile makes a policy of the files of one package.
func compile(l linked, data documents) (p *Policy, err error) {
	defer contain(l.own[0].Path, &err)
	p = &Policy{Name: l.name, Digest: l.digest, rules: map[string]*ast.Location{}}
	if err := p.describe(l.own); err != nil {
		return nil, err
	}
	if p.shape == conftest {
		p.documents(l, data)
	}
	modules := map[string]*ast.Module{}
	for _, m := range l.used {
		modules[m.Path] = m.parsed.Copy()
	}
	// conftest compiles without strictness, and its packages rely on it.
	compiler := ast.NewCompiler().WithCapabilities(capabilities()).WithStrict(p.shape == native)
	if compiler.Compile(modules); compiler.Failed() {
		return nil, regoRefusal(l.own[0].Path, compiler.Errors)
	}
	p.Reads, p.Builtins = readsOf(compiler.Modules), builtinsOf(compiler)
	for _, m := range l.used {
		p.files = append(p.files, m.File)
	}
	if p.shape == conftest {
		p.Reads = Reads{Time: p.Reads.Time}
	}
	for _, rule := range slices.Sorted(maps.Keys(p.rules)) {
		q, err := newQuery(compiler, l.own[0].parsed.Package.Path, rule)
		if err != nil {
			return nil, regoRefusal(l.own[0].Path, err)
		}
		if rule == exceptionRule {
			p.exceptions = &q
		} else {
			p.queries = append(p.queries, q)
		}
	}
	return p, nil
}

// documents that it reads are its parameters, which bindings may set.
func (p *Policy) documents(l linked, data documents) {
	parameters := maps.Clone(p.Metadata.Parameters)
	if parameters == nil {
		parameters = map[string]any{}
	}
	for _, name := range l.documents {
		parameters[name] = data.values[name]
		for _, file := range data.files[name] {
			if !slices.Contains(p.files, file) {
				p.files = append(p.files, file)
			}
		}
	}
	p.Metadata.Parameters = parameters
}

// builtinsOf what was compiled.
func builtinsOf(compiler *ast.Compiler) []string {
	var names []string
	for _, b := range compiler.Required.Builtins {
		names = append(names, b.Name)
	}
	slices.Sort(names)
	return names
}

// describe reads METADATA and finds the rules that are asked.
func (p *Policy) describe(own []*module) error {
	found := false
	for _, m := range own {
		p.paths = append(p.paths, m.Path)
		for _, a := range m.parsed.Annotations {
			if a.Scope != "package" {
				continue
			}
			if found {
				return refuse(m.Path, a.Location.Row, "", "package %s has METADATA in %s already: one file of a package carries it", p.Name, p.File)
			}
			metadata, err := parseMetadata(a)
			var wrong fieldError
			if errors.As(err, &wrong) {
				return refuse(m.Path, customLine(m.Text, a.Location.Row, wrong.key), "custom."+wrong.key, "%s", wrong.message)
			}
			p.Metadata, p.File, p.Line, found = metadata, m.Path, m.parsed.Package.Location.Row, true
			p.declared = len(a.Custom) > 0
		}
	}
	if !found {
		p.Metadata = undeclared(&ast.Annotations{})
	}
	if isConftest(own) {
		if err := p.describeConftest(own); err != nil {
			return err
		}
	} else if err := p.describeNative(own); err != nil {
		return err
	}
	asked := len(p.rules)
	if p.rules[exceptionRule] != nil {
		asked--
	}
	if asked == 0 {
		return refuse(p.File, p.Line, "", "package %s has neither a deny nor a warn rule", p.Name)
	}
	return nil
}

func (p *Policy) describeNative(own []*module) error {
	for _, m := range own {
		if m.old != nil {
			return m.old
		}
		for _, rule := range m.parsed.Rules {
			name := ruleName(rule)
			if name != "deny" && name != "warn" {
				continue
			}
			if rule.Head.RuleKind() != ast.MultiValue || len(rule.Head.Ref()) != 1 || rule.Default || len(rule.Head.Args) > 0 {
				return refuse(m.Path, rule.Location.Row, name, "%s must be a set of messages: %s contains msg if {...}", name, name)
			}
			if p.rules[name] == nil {
				p.rules[name] = rule.Location
			}
		}
	}
	return nil
}

// within says whether a reference lies in a package.
func within(ref ast.Ref, name string) bool {
	text := ref.ConstantPrefix().String()
	return text == "data."+name || strings.HasPrefix(text, "data."+name+".") || strings.HasPrefix(text, "data."+name+"[")
}

func packageName(m *ast.Module) string { return strings.TrimPrefix(m.Package.Path.String(), "data.") }

func isLibrary(name string) bool { return strings.HasPrefix(name, "lib.") }

func digestOf(modules []*module) string {
	sum := sha256.New()
	for _, m := range modules {
		writeAll(sum, m.Path, m.Text)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// writeAll writes strings so that no two lists of them look the same.
func writeAll(w io.Writer, texts ...string) {
	for _, text := range texts {
		fmt.Fprintf(w, "%d:%s", len(text), text)
	}
}

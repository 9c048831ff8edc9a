package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
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
	// queries are the rules that are asked, in order.
	queries []query
	// constraint is set where the policy is one of Gatekeeper's.
	constraint *constraint
}

// module is one parsed file.
type module struct {
	File
	parsed *ast.Module
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
	parsed, err := ast.ParseModuleWithOpts(file.Path, file.Text, ast.ParserOptions{
		ProcessAnnotation: true, RegoVersion: ast.RegoV1, Capabilities: capabilities()})
	if err != nil {
		return nil, regoRefusal(file.Path, err)
	}
	if parsed == nil {
		return nil, refuse(file.Path, 1, "", "the file is empty: a policy begins with a package")
	}
	return &module{file, parsed}, nil
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

// compile makes a policy of the files of one package; libraries are all files whose package begins with lib.
func compile(name string, own, libraries []*module) (p *Policy, err error) {
	defer contain(own[0].Path, &err)
	p = &Policy{Name: name, rules: map[string]*ast.Location{}}
	if err := p.describe(own); err != nil {
		return nil, err
	}
	used, err := link(name, own, libraries)
	if err != nil {
		return nil, err
	}
	modules := map[string]*ast.Module{}
	for _, m := range used {
		modules[m.Path] = m.parsed.Copy()
	}
	compiler := ast.NewCompiler().WithCapabilities(capabilities()).WithStrict(true)
	if compiler.Compile(modules); compiler.Failed() {
		return nil, regoRefusal(own[0].Path, compiler.Errors)
	}
	p.Reads, p.Builtins = readsOf(compiler.Modules), builtinsOf(compiler)
	p.Digest = digestOf(used)
	for _, m := range used {
		p.files = append(p.files, m.File)
	}
	for _, rule := range []string{"deny", "warn"} {
		if p.rules[rule] == nil {
			continue
		}
		q, err := newQuery(compiler, own[0].parsed.Package.Path, rule)
		if err != nil {
			return nil, regoRefusal(own[0].Path, err)
		}
		p.queries = append(p.queries, q)
	}
	return p, nil
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

// describe reads METADATA and finds the deny and warn rules.
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
		}
		for _, rule := range m.parsed.Rules {
			rname := rule.Head.Ref()[0].Value.String()
			if rname != "deny" && rname != "warn" {
				continue
			}
			if rule.Head.RuleKind() != ast.MultiValue || len(rule.Head.Ref()) != 1 || rule.Default || len(rule.Head.Args) > 0 {
				return refuse(m.Path, rule.Location.Row, rname, "%s must be a set of messages: %s contains msg if {...}", rname, rname)
			}
			if p.rules[rname] == nil {
				p.rules[rname] = rule.Location
			}
		}
	}
	first := own[0]
	if !found {
		return refuse(first.Path, first.parsed.Package.Location.Row, "", "package %s has no METADATA: put \"# METADATA\" with custom.input: periplus right before the package", p.Name)
	}
	if len(p.rules) == 0 {
		return refuse(p.File, p.Line, "", "package %s has neither a deny nor a warn rule", p.Name)
	}
	return nil
}

// link finds the library files that a package reaches, and refuses references to anything else: another policy's package
// would be undefined here, and a rule that depends on it would silently never fire.
func link(name string, own, libraries []*module) ([]*module, error) {
	used := slices.Clone(own)
	for i := 0; i < len(used); i++ {
		m := used[i]
		var problem error
		ast.WalkRefs(m.parsed, func(ref ast.Ref) bool {
			if !ref.HasPrefix(ast.DefaultRootRef) || problem != nil {
				return problem != nil
			}
			if within(ref, name) {
				return false
			}
			reached := false
			for _, library := range libraries {
				if within(ref, packageName(library.parsed)) {
					reached = true
					if !slices.Contains(used, library) {
						used = append(used, library)
					}
				}
			}
			if !reached && !ref.Equal(m.parsed.Package.Path) {
				row := 0
				if ref[0].Location != nil {
					row = ref[0].Location.Row
				}
				problem = refuse(m.Path, row, "", "%s is neither in package %s nor in a library (package lib.<name>)", ref, name)
			}
			return false
		})
		if problem != nil {
			return nil, problem
		}
	}
	slices.SortFunc(used, func(a, b *module) int { return strings.Compare(a.Path, b.Path) })
	return used, nil
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

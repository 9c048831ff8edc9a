package health

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/policies/engine"
	rules "github.com/periplus-fleet/periplus/policies/health"
)

// library is what rules share; it is compiled with each of them.
const library = "lib.rego"

// patience is how long a rule may take.
const patience = time.Second

var (
	packageLine = regexp.MustCompile(`(?m)^package\s+(health\.[A-Za-z_][A-Za-z0-9_]*)\s*$`)
	kindsLine   = regexp.MustCompile(`(?m)^#\s+kinds:\s*\[([^\]]*)\]`)
)

// Rules by the kind that they are for.
type Rules struct {
	kinds map[schema.GroupKind]*file
}

type file struct {
	path, text, name string
	kinds            []schema.GroupKind

	once  sync.Once
	query rego.PreparedEvalQuery
	err   error
}

// Shipped are the rules of policies/health.
func Shipped() *Rules {
	r, err := read(rules.Files)
	if err != nil {
		// A test reads them all: what is embedded does not change.
		panic(err)
	}
	return r
}

// With adds the rules of a folder, which win over those there are. A file that is no rule is left out and its error, with
// file and line, among those returned.
func (r *Rules) With(folder fs.FS) (*Rules, error) {
	added, err := read(folder)
	all := &Rules{kinds: maps.Clone(r.kinds)}
	broken := map[*file]error{}
	for kind, f := range added.kinds {
		if f.compile(); f.err != nil {
			broken[f] = f.err
			continue
		}
		all.kinds[kind] = f
	}
	return all, errors.Join(err, errors.Join(slices.Collect(maps.Values(broken))...))
}

// Kinds that have a rule, by the file that it stands in.
func (r *Rules) Kinds() map[string][]schema.GroupKind {
	all := map[string][]schema.GroupKind{}
	for _, f := range r.kinds {
		all[f.path] = f.kinds
	}
	return all
}

func read(folder fs.FS) (*Rules, error) {
	r := &Rules{kinds: map[schema.GroupKind]*file{}}
	names, err := fs.Glob(folder, "*.rego")
	errs := []error{err}
	for _, name := range names {
		if name == library || strings.HasSuffix(name, "_test.rego") {
			continue
		}
		text, err := fs.ReadFile(folder, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot read the health rule %s: %w", name, err))
			continue
		}
		f, err := scan(name, string(text))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, kind := range f.kinds {
			if other := r.kinds[kind]; other != nil {
				errs = append(errs, fmt.Errorf("%s: %s has a rule in %s already: keep one", name, kind, other.path))
				continue
			}
			r.kinds[kind] = f
		}
	}
	return r, errors.Join(errs...)
}

// scan finds a file's package and kinds without parsing it as Rego.
func scan(path, text string) (*file, error) {
	name := packageLine.FindStringSubmatch(text)
	if name == nil {
		return nil, fmt.Errorf("%s:1: a health rule begins with a package: write \"package health.<product>\"", path)
	}
	kinds := kindsLine.FindStringSubmatch(text)
	if kinds == nil {
		return nil, fmt.Errorf("%s:1: METADATA has no custom.kinds: write \"kinds: [Kind.group, ...]\" on one line", path)
	}
	f := &file{path: path, text: text, name: name[1]}
	for kind := range strings.SplitSeq(kinds[1], ",") {
		if kind = strings.Trim(kind, " \t\"'"); kind != "" {
			f.kinds = append(f.kinds, schema.ParseGroupKind(kind))
		}
	}
	return f, nil
}

// compile the file, once.
func (f *file) compile() {
	f.once.Do(func() {
		defer func() {
			if problem := recover(); problem != nil {
				f.err = fmt.Errorf("%s: the Rego compiler failed: %v", f.path, problem)
			}
		}()
		f.query, f.err = f.prepare()
	})
}

func (f *file) prepare() (rego.PreparedEvalQuery, error) {
	shared, err := rules.Files.ReadFile(library)
	if err != nil {
		return rego.PreparedEvalQuery{}, err
	}
	options := []func(*rego.Rego){
		rego.Query(fmt.Sprintf("status = data.%s.status; messages = [m | m = data.%s.message]", f.name, f.name)),
		rego.Capabilities(engine.Capabilities()), rego.StrictBuiltinErrors(true),
	}
	for path, text := range map[string]string{library: string(shared), f.path: f.text} {
		parsed, err := ast.ParseModuleWithOpts(path, text, ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: engine.Capabilities()})
		if err != nil {
			return rego.PreparedEvalQuery{}, err
		}
		options = append(options, rego.ParsedModule(parsed))
	}
	return rego.New(options...).PrepareForEval(context.Background())
}

func (f *file) ask(object map[string]any) (result Result, err error) {
	if f.compile(); f.err != nil {
		return Result{}, f.err
	}
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("the evaluation failed: %v", problem)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	found, err := f.query.Eval(ctx, rego.EvalInput(object))
	if err != nil {
		return Result{}, err
	}
	if len(found) == 0 {
		return Result{}, errors.New("it has no status for this object")
	}
	text, _ := found[0].Bindings["status"].(string)
	result.Status = Status(text)
	if !slices.Contains([]Status{Ready, Progressing, Failed}, result.Status) {
		return Result{}, fmt.Errorf("status is %v: it must be Ready, Progressing or Failed", found[0].Bindings["status"])
	}
	if messages, _ := found[0].Bindings["messages"].([]any); len(messages) > 0 {
		result.Message, _ = messages[0].(string)
	}
	return result, nil
}

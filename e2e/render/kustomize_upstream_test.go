package render_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// example is a kustomization that one of upstream's tests writes and builds.
type example struct {
	name, root string
	files      fstest.MapFS
}

// upstreamExamples reads upstream's tests as text: they write their files with literal names and contents, and build them.
// What a test makes up at run time is left out, counted in skipped.
func upstreamExamples(t *testing.T, skipped map[string]int) []example {
	t.Helper()
	folder := filepath.Join(moduleFolder(t, "sigs.k8s.io/kustomize/api"), "krusty")
	names, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("upstream's tests are not in %s: %v", folder, err)
	}
	source := source{functions: map[string]*ast.FuncDecl{}, constants: map[string]ast.Expr{}}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		source.add(file)
	}
	var examples []example
	for _, name := range slices.Sorted(maps.Keys(source.functions)) {
		if !strings.HasPrefix(name, "Test") {
			continue
		}
		run := run{source: source, name: name, files: fstest.MapFS{}, locals: map[string]ast.Expr{}}
		run.block(source.functions[name].Body)
		if run.unknown || len(run.examples) == 0 {
			skipped["files made at run time"]++
			continue
		}
		examples = append(examples, run.examples...)
	}
	return examples
}

// source is the declarations of upstream's test package.
type source struct {
	functions map[string]*ast.FuncDecl
	constants map[string]ast.Expr
}

func (s source) add(file *ast.File) {
	for _, declaration := range file.Decls {
		switch typed := declaration.(type) {
		case *ast.FuncDecl:
			if typed.Recv == nil && typed.Body != nil {
				s.functions[typed.Name.Name] = typed
			}
		case *ast.GenDecl:
			values(typed, s.constants)
		}
	}
}

func values(declaration *ast.GenDecl, into map[string]ast.Expr) {
	for _, spec := range declaration.Specs {
		if value, ok := spec.(*ast.ValueSpec); ok && len(value.Values) == len(value.Names) {
			for i, name := range value.Names {
				into[name.Name] = value.Values[i]
			}
		}
	}
}

// run follows one test through its statements.
type run struct {
	source   source
	name     string
	files    fstest.MapFS
	locals   map[string]ast.Expr
	examples []example
	unknown  bool
}

func (r *run) block(body *ast.BlockStmt) {
	for _, statement := range body.List {
		switch typed := statement.(type) {
		case *ast.DeclStmt:
			if declaration, ok := typed.Decl.(*ast.GenDecl); ok {
				values(declaration, r.locals)
			}
		case *ast.AssignStmt:
			if name, ok := typed.Lhs[0].(*ast.Ident); ok && len(typed.Lhs) == len(typed.Rhs) {
				r.locals[name.Name] = typed.Rhs[0]
			}
			r.calls(typed)
		case *ast.ForStmt, *ast.RangeStmt:
			if writes(typed) {
				r.unknown = true
			}
		default:
			r.calls(typed)
		}
	}
}

// writes says whether a loop writes or builds, which cannot be followed.
func writes(loop ast.Node) (found bool) {
	ast.Inspect(loop, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if ok {
			if method, ok := call.Fun.(*ast.SelectorExpr); ok {
				name := method.Sel.Name
				found = found || strings.HasPrefix(name, "Write") || strings.HasPrefix(name, "Run")
			}
		}
		return true
	})
	return found
}

func (r *run) calls(node ast.Node) {
	ast.Inspect(node, func(node ast.Node) bool {
		if _, closure := node.(*ast.FuncLit); closure {
			r.unknown = r.unknown || writes(node)
			return false
		}
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch function := call.Fun.(type) {
		case *ast.Ident:
			if helper := r.source.functions[function.Name]; helper != nil && len(call.Args) == 1 && !strings.HasPrefix(function.Name, "Test") {
				r.block(helper.Body)
				return false
			}
			if helper := r.source.functions[function.Name]; helper != nil && writes(helper) {
				r.unknown = true
			}
		case *ast.SelectorExpr:
			r.method(function.Sel.Name, call.Args)
		}
		return true
	})
}

func (r *run) method(name string, args []ast.Expr) {
	kinds := map[string]string{"WriteK": "\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
		"WriteC": "\napiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"}
	switch {
	case (name == "WriteK" || name == "WriteC") && len(args) == 2:
		r.write(r.text(args[0])+"/kustomization.yaml", kinds[name]+r.text(args[1]))
	case (name == "WriteF" || name == "WriteFile") && len(args) == 2:
		r.write(r.text(args[0]), r.text(args[1]))
	case (name == "Run" || name == "RunWithErr") && len(args) == 2:
		at := 0
		if file, ok := args[0].(*ast.Ident); ok && strings.HasPrefix(file.Name, "f") && name == "Run" {
			at = 1 // Kustomizer.Run(fSys, path)
		}
		root := inside(r.text(args[at]))
		r.examples = append(r.examples, example{name: r.name + "/" + strconv.Itoa(len(r.examples)), root: root, files: maps.Clone(r.files)})
	case strings.HasPrefix(name, "Write"), strings.HasPrefix(name, "MakeTempDir"), name == "NewTmpConfirmedDir":
		r.unknown = true
	}
}

func (r *run) write(name, text string) {
	r.files[inside(name)] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
}

func inside(name string) string {
	if clean := path.Clean("/" + name)[1:]; clean != "" {
		return clean
	}
	return "."
}

// text of an expression that is known without running it.
func (r *run) text(expression ast.Expr) string {
	switch typed := expression.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(typed.Value); err == nil && typed.Kind == token.STRING {
			return text
		}
	case *ast.BinaryExpr:
		if typed.Op == token.ADD {
			return r.text(typed.X) + r.text(typed.Y)
		}
	case *ast.ParenExpr:
		return r.text(typed.X)
	case *ast.Ident:
		if value, ok := r.locals[typed.Name]; ok {
			return r.text(value)
		}
		if value, ok := r.source.constants[typed.Name]; ok {
			return r.text(value)
		}
	case *ast.CallExpr:
		return r.call(typed)
	}
	r.unknown = true
	return ""
}

func (r *run) call(call *ast.CallExpr) string {
	switch function := call.Fun.(type) {
	case *ast.ArrayType: // []byte(text)
		return r.text(call.Args[0])
	case *ast.SelectorExpr:
		if function.Sel.Name == "GetRoot" {
			return "."
		}
		if function.Sel.Name == "Join" {
			var parts []string
			for _, arg := range call.Args {
				parts = append(parts, r.text(arg))
			}
			return path.Join(parts...)
		}
	}
	r.unknown = true
	return ""
}

package expr

import (
	"maps"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
)

// Reads are the fields of a cluster that something depends on.
type Reads struct {
	// Fields such as name, or labels.env where the key is plain; labels alone means all of them. Sorted.
	Fields []string
	// All is true where an expression leaves it open which.
	All bool
}

// keyed are the fields of cluster whose keys are told apart.
var keyed = map[string]bool{"labels": true, "variables": true, "properties": true}

// Union of what two things read.
func (r Reads) Union(other Reads) Reads {
	if r.All || other.All {
		return Reads{All: true}
	}
	return Reads{Fields: slices.Compact(slices.Sorted(slices.Values(slices.Concat(r.Fields, other.Fields))))}
}

// Reads says which fields of a cluster the expressions of a JSON value depend on. An expression that does not compile reads
// nothing: Check refuses it.
func (e *Evaluator) Reads(value any) Reads {
	var out Reads
	_, _ = walk(value, "", func(text, _ string) (any, error) {
		if !Has(text) {
			return text, nil
		}
		pieces, err := split(text)
		if err != nil {
			return text, nil
		}
		for _, piece := range pieces {
			if !piece.expression {
				continue
			}
			if compiled, err := e.compile(piece.text); err == nil {
				out = out.Union(readsOf(compiled))
			}
		}
		return text, nil
	})
	return out
}

// readsOf walks an expression: every use of cluster stands in a chain of selections.
func readsOf(compiled *cel.Ast) Reads {
	found := map[string]bool{}
	all := false
	var visit func(e ast.Expr)
	visit = func(e ast.Expr) {
		if field, ok := clusterField(e); ok {
			if field == "" {
				all = true
			}
			found[field] = true
			return
		}
		for _, child := range children(e) {
			visit(child)
		}
	}
	visit(compiled.NativeRep().Expr())
	if all {
		return Reads{All: true}
	}
	return Reads{Fields: slices.Sorted(maps.Keys(found))}
}

// clusterField is the field that an expression selects of cluster: "" is cluster as a whole.
func clusterField(e ast.Expr) (field string, ok bool) {
	if e.Kind() == ast.IdentKind && e.AsIdent() == "cluster" {
		return "", true
	}
	operand, key, ok := selection(e)
	if !ok {
		return "", false
	}
	if operand.Kind() == ast.IdentKind && operand.AsIdent() == "cluster" {
		return key, true
	}
	outer, outerKey, ok := selection(operand)
	if ok && outer.Kind() == ast.IdentKind && outer.AsIdent() == "cluster" && keyed[outerKey] {
		return outerKey + "." + key, true
	}
	// Deeper: what is selected further in does not matter.
	return clusterField(operand)
}

// selection reads a.b, a["b"], a.?b, a[?"b"] and has(a.b).
func selection(e ast.Expr) (operand ast.Expr, key string, ok bool) {
	switch e.Kind() {
	case ast.SelectKind:
		selected := e.AsSelect()
		return selected.Operand(), selected.FieldName(), true
	case ast.CallKind:
		call := e.AsCall()
		switch call.FunctionName() {
		case operators.Index, operators.OptIndex, operators.OptSelect:
			args := call.Args()
			if len(args) == 2 && args[1].Kind() == ast.LiteralKind {
				text, isText := args[1].AsLiteral().Value().(string)
				return args[0], text, isText
			}
		}
	}
	return nil, "", false
}

func children(e ast.Expr) []ast.Expr {
	switch e.Kind() {
	case ast.SelectKind:
		return []ast.Expr{e.AsSelect().Operand()}
	case ast.CallKind:
		call := e.AsCall()
		out := slices.Clone(call.Args())
		if call.IsMemberFunction() {
			out = append(out, call.Target())
		}
		return out
	case ast.ListKind:
		return e.AsList().Elements()
	case ast.MapKind:
		var out []ast.Expr
		for _, entry := range e.AsMap().Entries() {
			out = append(out, entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
		return out
	case ast.StructKind:
		var out []ast.Expr
		for _, field := range e.AsStruct().Fields() {
			out = append(out, field.AsStructField().Value())
		}
		return out
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		return []ast.Expr{c.IterRange(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()}
	default:
		return nil
	}
}

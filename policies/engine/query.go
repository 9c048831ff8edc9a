package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// query is one rule of a package, ready to be asked. It calls OPA's evaluator itself rather than through its package rego, which
// sets up for each question what all of them share.
type query struct {
	// rule as it is named in findings, and term as it is asked for.
	rule     string
	body     ast.Body
	compiler *ast.Compiler
	rewriter ast.QueryCompiler
}

// answer is the variable that a query's value is bound to.
const answer = ast.Var("answer")

// base is the store of evaluations: it is never written, and one transaction serves all.
type base struct {
	store       storage.Store
	transaction storage.Transaction
	// empty says that it holds nothing, so that nothing of it need be remembered.
	empty bool
}

// baseOf what conftest packages find below data.
func baseOf(documents map[string]any) base {
	store := inmem.NewFromObjectWithOpts(documents, inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true))
	return base{store: store, transaction: storage.NewTransactionOrDie(context.Background(), store), empty: len(documents) == 0}
}

// newQuery for a rule of a package, such as data.main and deny.
func newQuery(compiler *ast.Compiler, pkg ast.Ref, rule string) (query, error) {
	path := pkg.Append(ast.StringTerm(rule))
	rewriter := compiler.QueryCompiler()
	body, err := rewriter.Compile(ast.NewBody(ast.Equality.Expr(ast.VarTerm(string(answer)), ast.NewTerm(path))))
	if err != nil {
		return query{}, fmt.Errorf("cannot compile the query %s: %w", path, err)
	}
	return query{rule: rule, body: body, compiler: compiler, rewriter: rewriter}, nil
}

// options of evaluations that are not as usual, in tests.
type options struct{ unindexed, uncached bool }

// ask evaluates a query. The value is nil where it is undefined.
func (q *query) ask(w *work, base base, input *ast.Term, now time.Time) (*ast.Term, error) {
	evaluation := topdown.NewQuery(q.body).WithQueryCompiler(q.rewriter).WithCompiler(q.compiler).
		WithStore(base.store).WithTransaction(base.transaction).
		WithMetrics(silent).WithRequestMetadata(w.unused).WithTime(now).WithInput(input).
		WithCancel(w.cancel()).WithBuiltinErrorList(&w.errs).
		WithIndexing(!w.options.unindexed).WithEarlyExit(!w.options.unindexed)
	if base.empty {
		evaluation = evaluation.WithBaseCache(noBase{})
	}
	if !w.options.uncached {
		evaluation = evaluation.WithVirtualCache(w.memory.reset())
	}
	var value *ast.Term
	// The evaluation gets no deadline through its context: it would watch that with a goroutine of its own.
	err := evaluation.Iter(w.background, func(found topdown.QueryResult) error {
		value = found[answer]
		return nil
	})
	return value, err
}

// silent are metrics that nobody counts.
var silent = metrics.NoOp()

// noBase is a cache of documents that lie in the store: there are none.
type noBase struct{}

func (noBase) Get(ast.Ref) ast.Value { return nil }

func (noBase) Put(ast.Ref, ast.Value) {}

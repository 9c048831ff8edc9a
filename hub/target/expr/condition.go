package expr

import (
	"errors"
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
)

// Condition is a compiled expression over cluster that gives a boolean. It is safe for concurrent use.
type Condition struct {
	text    string
	program cel.Program
	reads   Reads
}

// Condition compiles an expression without ${{ }}.
func (e *Evaluator) Condition(text string) (*Condition, error) {
	if Has(text) {
		return nil, errors.New("write the expression alone, without ${{ }}")
	}
	ast, err := e.compile(text)
	if err != nil {
		return nil, err
	}
	if kind := ast.OutputType(); !kind.IsExactType(cel.BoolType) && !kind.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("expression %q gives %s, not true or false", text, kind)
	}
	program, err := e.program(text)
	if err != nil {
		return nil, err
	}
	return &Condition{text: text, program: program, reads: readsOf(ast)}, nil
}

// Reads says which fields of a cluster the answer depends on.
func (c *Condition) Reads() Reads { return c.reads }

// Holds asks the condition of one cluster. What the cluster lacks is an error: silence would choose clusters by accident.
func (c *Condition) Holds(cluster map[string]any) (bool, error) {
	result, _, err := c.program.Eval(map[string]any{"cluster": cluster})
	if err != nil {
		return false, fmt.Errorf("expression %q: %w", c.text, err)
	}
	answer, ok := result.(types.Bool)
	if !ok {
		return false, fmt.Errorf("expression %q gives %s, not true or false", c.text, result.Type().TypeName())
	}
	return bool(answer), nil
}

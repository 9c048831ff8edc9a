// Package expr evaluates the ${{ CEL }} of bundle.yaml over cluster, and the conditions of its selectors. Reading checks every expression at commit, targeting
// evaluates them for each cluster. A string that is wholly one expression takes the expression's type; otherwise the
// results become part of the text. $${{ stands for a literal ${{.
package expr

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
)

const (
	opening = "${{"
	literal = "$${{"
	// costLimit bounds one evaluation.
	costLimit = 100_000
	// cacheSize bounds how many compiled expressions are kept.
	cacheSize = 4096
	// maxResult bounds what one string may become.
	maxResult = 1 << 20
)

// Error is a mistake in an expression. Path is the field that it stands in.
type Error struct {
	Path string
	Err  error
}

func (e *Error) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Evaluator compiles expressions once. It is safe for concurrent use.
type Evaluator struct {
	env *cel.Env

	mu       sync.Mutex
	programs map[string]cel.Program
}

// New makes an evaluator whose only variable is cluster.
func New() (*Evaluator, error) {
	env, err := cel.NewEnv(cel.Variable("cluster", cel.MapType(cel.StringType, cel.DynType)), cel.OptionalTypes(),
		ext.Strings(), ext.Lists(), ext.Math(), ext.Encoders())
	if err != nil {
		return nil, fmt.Errorf("cannot make the expression environment: %w", err)
	}
	return &Evaluator{env: env, programs: map[string]cel.Program{}}, nil
}

// Has says whether a text holds an expression.
func Has(text string) bool { return strings.Contains(strings.ReplaceAll(text, literal, ""), opening) }

// Check compiles every expression in a JSON value and returns what is wrong, by path below the given one.
func (e *Evaluator) Check(value any, at string) []*Error {
	var problems []*Error
	_, _ = walk(value, at, func(text, path string) (any, error) {
		pieces, err := split(text)
		if err != nil {
			problems = append(problems, &Error{path, err})
		}
		for _, piece := range pieces {
			if !piece.expression {
				continue
			}
			if _, err := e.program(piece.text); err != nil {
				problems = append(problems, &Error{path, err})
			}
		}
		return text, nil
	})
	return problems
}

// Expressions are the paths, below the given one, of the strings of a JSON value that hold any.
func (e *Evaluator) Expressions(value any, at string) []string {
	var paths []string
	_, _ = walk(value, at, func(text, path string) (any, error) {
		if Has(text) {
			paths = append(paths, path)
		}
		return text, nil
	})
	return paths
}

// Expand returns a copy of a JSON value with every expression evaluated. The error is an *Error.
func (e *Evaluator) Expand(value any, at string, cluster map[string]any) (any, error) {
	return walk(value, at, func(text, path string) (any, error) {
		expanded, err := e.expandText(text, cluster)
		if err != nil {
			return nil, &Error{path, err}
		}
		return expanded, nil
	})
}

func (e *Evaluator) expandText(text string, cluster map[string]any) (any, error) {
	if !strings.Contains(text, opening) {
		return text, nil
	}
	pieces, err := split(text)
	if err != nil {
		return nil, err
	}
	if len(pieces) == 1 && pieces[0].expression {
		return e.eval(pieces[0].text, cluster)
	}
	var out strings.Builder
	for _, piece := range pieces {
		if !piece.expression {
			out.WriteString(piece.text)
			continue
		}
		value, err := e.eval(piece.text, cluster)
		if err != nil {
			return nil, err
		}
		part, err := asText(value)
		if err != nil {
			return nil, fmt.Errorf("expression %q: %w", piece.text, err)
		}
		if out.WriteString(part); out.Len() > maxResult {
			return nil, fmt.Errorf("the text becomes longer than %d bytes", maxResult)
		}
	}
	return out.String(), nil
}

func (e *Evaluator) eval(text string, cluster map[string]any) (any, error) {
	program, err := e.program(text)
	if err != nil {
		return nil, err
	}
	result, _, err := program.Eval(map[string]any{"cluster": cluster})
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w", text, err)
	}
	value, err := toJSON(result, 0)
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w", text, err)
	}
	return value, nil
}

func (e *Evaluator) program(text string) (cel.Program, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if program, ok := e.programs[text]; ok {
		return program, nil
	}
	ast, err := e.compile(text)
	if err != nil {
		return nil, err
	}
	program, err := e.env.Program(ast, cel.CostLimit(costLimit), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w", text, err)
	}
	if len(e.programs) >= cacheSize {
		clear(e.programs)
	}
	e.programs[text] = program
	return program, nil
}

func (e *Evaluator) compile(text string) (*cel.Ast, error) {
	ast, issues := e.env.Compile(text)
	if issues != nil && issues.Err() != nil {
		var messages []string
		for _, issue := range issues.Errors() {
			messages = append(messages, issue.Message)
		}
		return nil, fmt.Errorf("expression %q: %s", text, strings.Join(messages, "; "))
	}
	return ast, nil
}

// piece is a run of plain text, or one expression without its braces.
type piece struct {
	text       string
	expression bool
}

func split(text string) ([]piece, error) {
	var pieces []piece
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			pieces = append(pieces, piece{text: plain.String()})
			plain.Reset()
		}
	}
	for rest := text; rest != ""; {
		at := strings.Index(rest, opening)
		if at < 0 {
			plain.WriteString(rest)
			break
		}
		if at > 0 && rest[at-1] == '$' {
			plain.WriteString(rest[:at-1] + opening)
			rest = rest[at+len(opening):]
			continue
		}
		plain.WriteString(rest[:at])
		body := rest[at+len(opening):]
		end := closing(body)
		if end < 0 {
			return nil, errors.New("${{ has no }}; write $${{ for a literal one")
		}
		flush()
		pieces = append(pieces, piece{text: strings.TrimSpace(body[:end]), expression: true})
		rest = body[end+2:]
	}
	flush()
	return pieces, nil
}

// closing finds the }} that ends an expression: not one in a string, and not one that closes map literals.
func closing(body string) int {
	depth := 0
	var quote byte
	for i := 0; i < len(body); i++ {
		c := body[i]
		switch {
		case quote != 0 && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		case strings.HasPrefix(body[i:], "}}"):
			return i
		}
	}
	return -1
}

// walk copies a JSON value, with every string (not keys) replaced. It stops at the first error.
func walk(value any, path string, replace func(text, path string) (any, error)) (any, error) {
	switch typed := value.(type) {
	case string:
		return replace(typed, path)
	case []any:
		out := make([]any, len(typed))
		for i, item := range typed {
			copied, err := walk(item, fmt.Sprintf("%s[%d]", path, i), replace)
			if err != nil {
				return nil, err
			}
			out[i] = copied
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(typed))
		for _, key := range slices.Sorted(maps.Keys(typed)) {
			copied, err := walk(typed[key], path+"."+key, replace)
			if err != nil {
				return nil, err
			}
			out[key] = copied
		}
		return out, nil
	default:
		return value, nil
	}
}

// Package yamldoc reads YAML and JSON files of a repository into JSON values with the line of every field, so that each
// later mistake can be named by file, line and field path. It is stricter than most readers: a key that stands twice is an
// error, and so is a document that grows out of proportion through aliases.
package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"
)

// MaxBytes bounds a file: parsed, it takes up to a hundred times its size.
const MaxBytes = 16 << 20

// Document is one document of a file.
type Document struct {
	// Line of its first node, from 1.
	Line int
	// Value of JSON types: map[string]any, []any, string, bool, nil, int64, float64.
	Value any
	node  *yaml.Node
	lines func() map[string]int
}

// Error is a mistake in a file's syntax.
type Error struct {
	Line    int
	Message string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Message)
}

// Object is the value as a mapping; ok is false for anything else.
func (d Document) Object() (map[string]any, bool) {
	object, ok := d.Value.(map[string]any)
	return object, ok
}

// Parse reads all documents of a file; empty ones are left out.
func Parse(data []byte) ([]Document, error) {
	var documents []Document
	err := Each(data, func(document Document) error {
		documents = append(documents, document)
		return nil
	})
	return documents, err
}

// Each reads a file document by document, so that only one of them is in memory with its positions. It stops at the first
// error, be it its own, which is an *Error, or that of do.
func Each(data []byte, do func(Document) error) error {
	data, err := checkText(data)
	if err != nil {
		return err
	}
	if start := bytes.TrimLeft(data, " \t\r\n"); len(start) > 0 && start[0] == '{' {
		// Not every JSON is YAML: tabs, escapes of surrogates. What is no JSON may still be YAML in flow style.
		if nodes, err := nodesOfJSON(data); err == nil {
			return eachOf(nodes, do)
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var node yaml.Node
		err := decode(decoder, &node)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return syntaxError(data, err)
		}
		if err := eachOf(node.Content, do); err != nil {
			return err
		}
	}
}

func eachOf(roots []*yaml.Node, do func(Document) error) error {
	for _, root := range roots {
		if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
			continue
		}
		reader := reader{}
		value, err := reader.read(root, 0)
		if err != nil {
			return err
		}
		document := Document{Line: root.Line, Value: value, node: root}
		document.lines = sync.OnceValue(func() map[string]int { return linesOf(root) })
		if err := do(document); err != nil {
			return err
		}
	}
	return nil
}

// decode guards against the parser's own panics: what a user pushed must not end the process.
func decode(decoder *yaml.Decoder, node *yaml.Node) (err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("cannot be parsed: %v", caught)
		}
	}()
	return decoder.Decode(node)
}

var lineOfSyntax = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)

func syntaxError(data []byte, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	found := lineOfSyntax.FindStringSubmatch(text)
	if found == nil {
		return &Error{Message: text}
	}
	line, _ := strconv.Atoi(found[1])
	if tab := tabNear(data, line); tab > 0 {
		return &Error{Line: tab, Message: "a tab stands in the indentation; YAML takes spaces only"}
	}
	return &Error{Line: line, Message: found[2]}
}

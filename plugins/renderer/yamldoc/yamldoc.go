// Package yamldoc reads YAML and JSON files of a repository into JSON values with the line of every field, so that each
// later mistake can be named by file, line and field path. It is stricter than most readers: a key that stands twice is an
// error, and so is a document that grows out of proportion through aliases.
package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxNodes bounds one document after its aliases are resolved.
const maxNodes = 1_000_000

// maxDepth bounds nesting.
const maxDepth = 200

// Document is one document of a file.
type Document struct {
	// Line of its first node, from 1.
	Line int
	// Value of JSON types: map[string]any, []any, string, bool, nil, int64, float64.
	Value any
	lines map[string]int
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

// LineOf a field path such as spec.targets[0].values; of its nearest parent that is there; else of the document.
func (d Document) LineOf(path string) int {
	for path != "" {
		if line, ok := d.lines[path]; ok {
			return line
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			break
		}
		path = path[:cut]
	}
	return d.Line
}

// Lines of all field paths.
func (d Document) Lines() map[string]int { return d.lines }

// Parse reads all documents of a file; empty ones are left out.
func Parse(data []byte) ([]Document, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var documents []Document
	for {
		var node yaml.Node
		err := decode(decoder, &node)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, syntaxError(err)
		}
		if len(node.Content) == 0 || isNull(node.Content[0]) {
			continue
		}
		reader := reader{lines: map[string]int{}}
		value, err := reader.read(node.Content[0], "", 0)
		if err != nil {
			return nil, err
		}
		documents = append(documents, Document{Line: node.Content[0].Line, Value: value, lines: reader.lines})
	}
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

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

var lineOfSyntax = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)

func syntaxError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if found := lineOfSyntax.FindStringSubmatch(text); found != nil {
		line, _ := strconv.Atoi(found[1])
		return &Error{Line: line, Message: found[2]}
	}
	return &Error{Message: text}
}

type reader struct {
	lines map[string]int
	nodes int
}

func (r *reader) read(node *yaml.Node, path string, depth int) (any, error) {
	if r.nodes++; r.nodes > maxNodes || depth > maxDepth {
		return nil, &Error{Line: node.Line, Message: "the document is too large or too deep"}
	}
	if path != "" {
		if _, ok := r.lines[path]; !ok {
			r.lines[path] = node.Line
		}
	}
	switch node.Kind {
	case yaml.AliasNode:
		return r.read(node.Alias, path, depth+1)
	case yaml.MappingNode:
		return r.readMapping(node, path, depth)
	case yaml.SequenceNode:
		list := make([]any, 0, len(node.Content))
		for i, item := range node.Content {
			value, err := r.read(item, fmt.Sprintf("%s[%d]", path, i), depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	default:
		return readScalar(node)
	}
}

func (r *reader) readMapping(node *yaml.Node, path string, depth int) (any, error) {
	object := make(map[string]any, len(node.Content)/2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.ShortTag() == "!!merge" {
			merged = append(merged, value)
			continue
		}
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			return nil, &Error{Line: node.Content[i].Line, Message: "a key must be a string"}
		}
		name := key.Value
		if _, twice := object[name]; twice {
			return nil, &Error{Line: node.Content[i].Line, Message: fmt.Sprintf("key %q stands twice", name)}
		}
		child := join(path, name)
		r.lines[child] = node.Content[i].Line
		read, err := r.read(value, child, depth+1)
		if err != nil {
			return nil, err
		}
		object[name] = read
	}
	for _, source := range merged {
		if err := r.merge(object, source, path, depth); err != nil {
			return nil, err
		}
	}
	return object, nil
}

// merge carries out "<<": keys that stand in the mapping itself win, and among several sources the earlier ones.
func (r *reader) merge(object map[string]any, source *yaml.Node, path string, depth int) error {
	value, err := r.read(source, path, depth+1)
	if err != nil {
		return err
	}
	sources, isList := value.([]any)
	if !isList {
		sources = []any{value}
	}
	for _, item := range sources {
		fields, ok := item.(map[string]any)
		if !ok {
			return &Error{Line: source.Line, Message: "<< takes a mapping or a list of mappings"}
		}
		for name, field := range fields {
			if _, set := object[name]; !set {
				object[name] = field
			}
		}
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func readScalar(node *yaml.Node) (any, error) {
	switch node.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		var value bool
		if err := node.Decode(&value); err != nil {
			return nil, syntaxAt(node, err)
		}
		return value, nil
	case "!!int":
		var value int64
		if err := node.Decode(&value); err == nil {
			return value, nil
		}
		return readFloat(node)
	case "!!float":
		return readFloat(node)
	case "!!str", "!!timestamp", "!!binary":
		return node.Value, nil
	default:
		return nil, &Error{Line: node.Line, Message: fmt.Sprintf("tag %s is not supported", node.Tag)}
	}
}

func readFloat(node *yaml.Node) (any, error) {
	var value float64
	if err := node.Decode(&value); err != nil {
		return nil, syntaxAt(node, err)
	}
	if math.IsInf(value, 0) || math.IsNaN(value) {
		return nil, &Error{Line: node.Line, Message: fmt.Sprintf("number %s has no JSON form", node.Value)}
	}
	return value, nil
}

func syntaxAt(node *yaml.Node, err error) error {
	return &Error{Line: node.Line, Message: strings.TrimPrefix(err.Error(), "yaml: ")}
}

package sops

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// maxNodes bounds what aliases of a document may unfold to.
const maxNodes = 1 << 20

// parseYAML reads one YAML document.
func parseYAML(document []byte) (mapping, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(document))
	var root, second yaml.Node
	if err := decoder.Decode(&root); err != nil {
		return nil, fmt.Errorf("cannot read YAML: %w", err)
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("cannot read YAML: a file of several documents %w: put each encrypted document into a file of its own", ErrUnsupported)
	}
	r := yamlReader{}
	if len(root.Content) != 1 {
		return nil, errors.New("cannot read YAML: the document must be a mapping")
	}
	top := root.Content[0]
	tree := notes(nil, root.HeadComment)
	value, err := r.node(top, false)
	if err != nil {
		return nil, fmt.Errorf("cannot read YAML: %w", err)
	}
	content, ok := value.(mapping)
	if !ok {
		return nil, errors.New("cannot read YAML: the document must be a mapping")
	}
	return notes(append(tree, content...), root.FootComment), nil
}

// yamlReader turns nodes into a tree, with comments at the places where sops has them.
type yamlReader struct {
	nodes int
}

// node reads a value; told says that its comments were read with its parent already.
func (r *yamlReader) node(node *yaml.Node, told bool) (any, error) {
	if r.nodes++; r.nodes > maxNodes {
		return nil, fmt.Errorf("line %d: the document's aliases unfold to too much", node.Line)
	}
	switch node.Kind {
	case yaml.MappingNode:
		return r.mapping(node, told)
	case yaml.SequenceNode:
		return r.list(node, told)
	case yaml.AliasNode:
		return r.node(node.Alias, false)
	default:
		return yamlScalar(node)
	}
}

func (r *yamlReader) mapping(node *yaml.Node, told bool) (mapping, error) {
	tree, seen := mapping{}, map[string]bool{}
	if !told {
		tree = notes(notes(tree, node.HeadComment), node.LineComment)
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		tree = notes(notes(tree, key.HeadComment), key.LineComment)
		own := value.Kind == yaml.ScalarNode || value.Kind == yaml.AliasNode
		if own {
			tree = notes(notes(tree, value.HeadComment), value.LineComment)
		}
		name, err := yamlScalar(key)
		text, ok := name.(string)
		if err != nil || !ok || key.ShortTag() == "!!merge" {
			return nil, fmt.Errorf("line %d: a key that is no plain string %w", key.Line, ErrUnsupported)
		}
		if seen[text] {
			return nil, fmt.Errorf("line %d: key %q stands twice", key.Line, text)
		}
		seen[text] = true
		item, err := r.node(value, own)
		if err != nil {
			return nil, err
		}
		tree = append(tree, pair{key: text, value: item})
		if own {
			tree = notes(tree, value.FootComment)
		}
		tree = notes(tree, key.FootComment)
	}
	if !told {
		tree = notes(tree, node.FootComment)
	}
	return tree, nil
}

func (r *yamlReader) list(node *yaml.Node, told bool) ([]any, error) {
	list := []any{}
	add := func(text string) {
		for _, note := range notes(nil, text) {
			list = append(list, *note.note)
		}
	}
	if !told {
		add(node.HeadComment)
		add(node.LineComment)
	}
	for _, item := range node.Content {
		add(item.HeadComment)
		add(item.LineComment)
		value, err := r.node(item, true)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
		add(item.FootComment)
	}
	if !told {
		add(node.FootComment)
	}
	return list, nil
}

// notes appends the lines of a comment.
func notes(tree mapping, text string) mapping {
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" {
			note := comment(line[1:])
			tree = append(tree, pair{note: &note})
		}
	}
	return tree
}

func yamlScalar(node *yaml.Node) (any, error) {
	if node.Kind != yaml.ScalarNode {
		return nil, fmt.Errorf("line %d: a value of this kind %w", node.Line, ErrUnsupported)
	}
	var value any
	if err := node.Decode(&value); err != nil {
		return nil, fmt.Errorf("line %d: %w", node.Line, err)
	}
	switch value := value.(type) {
	case nil, string, bool, int, float64:
		return value, nil
	case time.Time:
		return moment{at: value, text: node.Value}, nil
	default:
		return nil, fmt.Errorf("line %d: a value of type %T %w", node.Line, value, ErrUnsupported)
	}
}

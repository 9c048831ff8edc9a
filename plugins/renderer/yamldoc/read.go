package yamldoc

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

const (
	// maxNodes bounds one document after its aliases are resolved.
	maxNodes = 4_000_000
	// maxAliased bounds what aliases add to one document.
	maxAliased = 100_000
	// maxDepth bounds nesting.
	maxDepth = 200
)

// reader turns the nodes of one document into values.
type reader struct {
	nodes, aliased int
	// inAlias is how many aliases the current node stands below, aliasLine where the outermost of them is.
	inAlias, aliasLine int
}

func (r *reader) read(node *yaml.Node, depth int) (any, error) {
	if err := r.count(node, depth); err != nil {
		return nil, err
	}
	switch node.Kind {
	case yaml.AliasNode:
		if r.inAlias++; r.inAlias == 1 {
			r.aliasLine = node.Line
		}
		defer func() { r.inAlias-- }()
		return r.read(node.Alias, depth+1)
	case yaml.MappingNode:
		return r.readMapping(node, depth)
	case yaml.SequenceNode:
		list := make([]any, 0, len(node.Content))
		for _, item := range node.Content {
			value, err := r.read(item, depth+1)
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

func (r *reader) count(node *yaml.Node, depth int) error {
	r.nodes++
	if r.inAlias > 0 {
		r.aliased++
	}
	switch {
	case depth > maxDepth:
		return &Error{Line: node.Line, Message: fmt.Sprintf("the document is nested deeper than %d levels", maxDepth)}
	case r.aliased > maxAliased:
		return &Error{Line: r.aliasLine, Message: fmt.Sprintf("the document's aliases add more than %d fields", maxAliased)}
	case r.nodes > maxNodes:
		return &Error{Line: node.Line, Message: fmt.Sprintf("the document has more than %d fields", maxNodes)}
	}
	return nil
}

func (r *reader) readMapping(node *yaml.Node, depth int) (any, error) {
	object := make(map[string]any, len(node.Content)/2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if isMerge(key) {
			merged = append(merged, value)
			continue
		}
		name, ok := keyOf(key)
		if !ok {
			return nil, &Error{Line: key.Line, Message: "a key must be a string"}
		}
		read, err := r.read(value, depth+1)
		if err != nil {
			return nil, err
		}
		before := len(object)
		if object[name] = read; len(object) == before {
			return nil, &Error{Line: key.Line, Message: fmt.Sprintf("key %q stands twice", name)}
		}
	}
	for _, source := range merged {
		if err := r.merge(object, source, depth); err != nil {
			return nil, err
		}
	}
	return object, nil
}

func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == "<<" && key.ShortTag() == "!!merge"
}

// keyOf is a key's text, which JSON needs to be a string whatever YAML makes of it.
func keyOf(key *yaml.Node) (name string, ok bool) {
	if key.Kind == yaml.AliasNode {
		key = key.Alias
	}
	return key.Value, key.Kind == yaml.ScalarNode
}

// merge carries out "<<": keys that stand in the mapping itself win, and among several sources the earlier ones.
func (r *reader) merge(object map[string]any, source *yaml.Node, depth int) error {
	value, err := r.read(source, depth+1)
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

func readScalar(node *yaml.Node) (any, error) {
	switch node.ShortTag() {
	case "!!str", "!!timestamp", "!!binary":
		return node.Value, nil
	case "!!null":
		return nil, nil
	case "!!bool":
		var value bool
		if err := node.Decode(&value); err != nil {
			return nil, syntaxAt(node, err)
		}
		return value, nil
	case "!!int":
		return readInt(node)
	case "!!float":
		return readFloat(node)
	default:
		return nil, &Error{Line: node.Line, Message: fmt.Sprintf("tag %s is not supported", node.Tag)}
	}
}

func readInt(node *yaml.Node) (any, error) {
	// The decoder is slow, and needed only for other bases, signs and underscores.
	if text := node.Value; text == "0" || text != "" && text[0] >= '1' && text[0] <= '9' {
		if value, err := strconv.ParseInt(text, 10, 64); err == nil {
			return value, nil
		}
	}
	var value int64
	if err := node.Decode(&value); err == nil {
		return value, nil
	}
	return readFloat(node)
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
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	return &Error{Line: node.Line, Message: strings.ReplaceAll(text, "\n", " ")}
}

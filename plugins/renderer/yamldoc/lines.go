package yamldoc

import (
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// LineOf a field path such as spec.targets[0].values; of its nearest parent that is there; else of the document.
func (d Document) LineOf(path string) int {
	if path == "" {
		return d.Line
	}
	lines := d.Lines()
	for path != "" {
		if line, ok := lines[path]; ok {
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

// Lines of all field paths, worked out at the first call.
func (d Document) Lines() map[string]int {
	if d.lines == nil {
		return nil
	}
	return d.lines()
}

// LineOfPointer is the line of the field at a JSON pointer (RFC 6901), of its nearest parent that is there, else of the
// document. It costs no more than the way to the field.
func (d Document) LineOfPointer(pointer string) int {
	if d.node == nil {
		return d.Line
	}
	return lineBelow(d.node, pointer)
}

// Locate is the line of a field of the object that begins at the line given, where the file holds many: pointer is a JSON
// pointer from that object. A field that is not there has the line of its nearest parent; a file that cannot be read, or has
// no object at the line, has the line given.
func Locate(data []byte, line int, pointer string) int {
	text, before := segment(data, line)
	found := line
	_ = Each(text, func(document Document) error { // a broken file was refused by the one who read it
		if node := mappingAt(document.node, line-before); node != nil {
			found = before + lineBelow(node, pointer)
		}
		return nil
	})
	return found
}

func lineBelow(node *yaml.Node, pointer string) int {
	line := node.Line
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		key, value := child(node, pointerUnescape.Replace(token))
		if value == nil {
			return line
		}
		line, node = key.Line, value
	}
	return line
}

var pointerUnescape = strings.NewReplacer("~1", "/", "~0", "~")

// child is what a pointer's token leads to: the node that tells its position, and its value.
func child(node *yaml.Node, token string) (at, value *yaml.Node) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch node.Kind {
	case yaml.SequenceNode:
		index, err := strconv.Atoi(token)
		if err != nil || index < 0 || index >= len(node.Content) {
			return nil, nil
		}
		return node.Content[index], node.Content[index]
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if name, ok := keyOf(node.Content[i]); ok && name == token {
				return node.Content[i], node.Content[i+1]
			}
		}
	}
	return nil, nil
}

// mappingAt is the outermost mapping that begins at a line.
func mappingAt(node *yaml.Node, line int) *yaml.Node {
	if node == nil || node.Line > line {
		return nil
	}
	if node.Kind == yaml.MappingNode && node.Line == line {
		return node
	}
	for _, below := range node.Content {
		if found := mappingAt(below, line); found != nil {
			return found
		}
	}
	return nil
}

// linesOf lists the fields of a document that was read, so its size is known to be sane.
func linesOf(root *yaml.Node) map[string]int {
	lines := map[string]int{}
	collect(lines, root, "")
	return lines
}

func collect(lines map[string]int, node *yaml.Node, path string) {
	if _, ok := lines[path]; !ok && path != "" {
		lines[path] = node.Line
	}
	switch node.Kind {
	case yaml.AliasNode:
		collect(lines, node.Alias, path)
	case yaml.SequenceNode:
		for i, item := range node.Content {
			collect(lines, item, path+"["+strconv.Itoa(i)+"]")
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			if isMerge(key) {
				continue
			}
			name, _ := keyOf(key)
			below := join(path, name)
			lines[below] = key.Line
			collect(lines, value, below)
		}
		collectMerged(lines, node, path)
	}
}

// collectMerged comes after the mapping's own keys, which win.
func collectMerged(lines map[string]int, node *yaml.Node, path string) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if !isMerge(node.Content[i]) {
			continue
		}
		source := node.Content[i+1]
		if source.Kind == yaml.AliasNode {
			source = source.Alias
		}
		sources := []*yaml.Node{source}
		if source.Kind == yaml.SequenceNode {
			sources = source.Content
		}
		for _, one := range sources {
			if one.Kind == yaml.AliasNode {
				one = one.Alias
			}
			merged := map[string]int{}
			collect(merged, one, path)
			for field, line := range merged {
				if _, own := lines[field]; !own {
					lines[field] = line
				}
			}
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

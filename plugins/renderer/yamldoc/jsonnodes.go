package yamldoc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"gopkg.in/yaml.v3"
)

// jsonNodes reads JSON into the nodes that YAML has, so that duplicate keys, limits and lines are one matter for both.
type jsonNodes struct {
	data    []byte
	decoder *json.Decoder
	// offset up to which lines were counted.
	offset, line int
}

func nodesOfJSON(data []byte) ([]*yaml.Node, error) {
	reader := jsonNodes{data: data, decoder: json.NewDecoder(bytes.NewReader(data)), line: 1}
	reader.decoder.UseNumber()
	var nodes []*yaml.Node
	for {
		node, err := reader.value(0)
		if errors.Is(err, io.EOF) {
			return nodes, nil
		}
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
}

// here is the line of the token just read; a token has no line breaks.
func (r *jsonNodes) here() int {
	now := int(r.decoder.InputOffset())
	r.line += bytes.Count(r.data[r.offset:now], []byte("\n"))
	r.offset = now
	return r.line
}

func (r *jsonNodes) value(depth int) (*yaml.Node, error) {
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	line := r.here()
	if depth > maxDepth {
		return nil, &Error{Line: line, Message: fmt.Sprintf("the document is nested deeper than %d levels", maxDepth)}
	}
	scalar := func(tag, value string) (*yaml.Node, error) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value, Line: line}, nil
	}
	switch typed := token.(type) {
	case json.Delim:
		node := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: line}
		if typed == '{' {
			node.Kind, node.Tag = yaml.MappingNode, "!!map"
		}
		return node, r.fill(node, depth)
	case string:
		return scalar("!!str", typed)
	case json.Number:
		if _, err := typed.Int64(); err == nil {
			return scalar("!!int", typed.String())
		}
		return scalar("!!float", typed.String())
	case bool:
		return scalar("!!bool", fmt.Sprint(typed))
	default:
		return scalar("!!null", "null")
	}
}

// fill reads the members up to the closing bracket; keys are tokens like any other.
func (r *jsonNodes) fill(node *yaml.Node, depth int) error {
	for r.decoder.More() {
		below, err := r.value(depth + 1)
		if err != nil {
			return noEOF(err)
		}
		node.Content = append(node.Content, below)
	}
	_, err := r.decoder.Token()
	return noEOF(err)
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

package sops

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// emit writes an opened tree, in the order of its document and without comments.
func emit(tree mapping, format Format) ([]byte, error) {
	switch format {
	case JSON:
		return emitJSON(tree)
	case Binary:
		data, _ := tree.find("data")
		text, ok := data.(string)
		if !ok {
			return nil, errors.New("cannot read the binary document: it has no key data with text")
		}
		return []byte(text), nil
	case Dotenv:
		return emitDotenv(tree)
	default:
		node, err := yamlNode(tree)
		if err != nil {
			return nil, err
		}
		data, err := yaml.Marshal(node)
		if err != nil {
			return nil, fmt.Errorf("cannot write YAML: %w", err)
		}
		return data, nil
	}
}

func yamlNode(value any) (*yaml.Node, error) {
	node := &yaml.Node{}
	switch value := value.(type) {
	case mapping:
		node.Kind = yaml.MappingNode
		for _, p := range value {
			key, item := &yaml.Node{}, (*yaml.Node)(nil)
			err := key.Encode(p.key)
			if err == nil {
				item, err = yamlNode(p.value)
			}
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, key, item)
		}
		return node, nil
	case []any:
		node.Kind = yaml.SequenceNode
		for _, item := range value {
			child, err := yamlNode(item)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, child)
		}
		return node, nil
	case moment:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!timestamp", Value: value.text}, nil
	default:
		if err := node.Encode(jsonValue(value)); err != nil {
			return nil, fmt.Errorf("cannot write YAML: %w", err)
		}
		return node, nil
	}
}

func emitJSON(value any) ([]byte, error) {
	switch value := value.(type) {
	case mapping:
		var parts []string
		for _, p := range value {
			key, err := json.Marshal(p.key)
			if err != nil {
				return nil, fmt.Errorf("cannot write JSON: %w", err)
			}
			item, err := emitJSON(p.value)
			if err != nil {
				return nil, err
			}
			parts = append(parts, string(key)+":"+string(item))
		}
		return []byte("{" + strings.Join(parts, ",") + "}"), nil
	case []any:
		var parts [][]byte
		for _, item := range value {
			data, err := emitJSON(item)
			if err != nil {
				return nil, err
			}
			parts = append(parts, data)
		}
		return append(append([]byte("["), bytes.Join(parts, []byte(","))...), ']'), nil
	default:
		data, err := json.Marshal(jsonValue(value))
		if err != nil {
			return nil, fmt.Errorf("cannot write JSON: %w", err)
		}
		return data, nil
	}
}

func emitDotenv(tree mapping) ([]byte, error) {
	var out strings.Builder
	for _, p := range tree {
		text, ok := p.value.(string)
		if !ok {
			return nil, fmt.Errorf("cannot write dotenv: key %q holds no text", p.key)
		}
		out.WriteString(p.key + "=" + strings.ReplaceAll(text, "\n", `\n`) + "\n")
	}
	return []byte(out.String()), nil
}

package sops

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// parse reads a document into a tree, whatever in it is encrypted.
func parse(document []byte, format Format) (mapping, error) {
	switch format {
	case YAML:
		return parseYAML(document)
	case JSON, Binary:
		return parseJSON(document)
	case Dotenv:
		return parseDotenv(document)
	default:
		return nil, fmt.Errorf("format %q %w", format, ErrUnsupported)
	}
}

func parseJSON(document []byte) (mapping, error) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	value, err := jsonNode(decoder)
	if err != nil {
		return nil, fmt.Errorf("cannot read JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("cannot read JSON: something follows after its end")
	}
	tree, ok := value.(mapping)
	if !ok {
		return nil, errors.New("cannot read JSON: the document must be an object")
	}
	return tree, nil
}

func jsonNode(decoder *json.Decoder) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '[' {
			return jsonList(decoder)
		}
		return jsonObject(decoder)
	case json.Number:
		if number, err := token.Int64(); err == nil {
			return int(number), nil
		}
		return token.Float64()
	default:
		return token, nil
	}
}

func jsonList(decoder *json.Decoder) ([]any, error) {
	list := []any{}
	for decoder.More() {
		item, err := jsonNode(decoder)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	_, err := decoder.Token()
	return list, err
}

func jsonObject(decoder *json.Decoder) (mapping, error) {
	tree, seen := mapping{}, map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		key, _ := token.(string)
		if seen[key] {
			return nil, fmt.Errorf("key %q stands twice", key)
		}
		seen[key] = true
		value, err := jsonNode(decoder)
		if err != nil {
			return nil, err
		}
		tree = append(tree, pair{key: key, value: value})
	}
	_, err := decoder.Token()
	return tree, err
}

// parseDotenv reads KEY=value lines and comments.
func parseDotenv(document []byte) (mapping, error) {
	var tree mapping
	for i, line := range strings.Split(string(document), "\n") {
		if line == "" {
			continue
		}
		if note, ok := strings.CutPrefix(line, "#"); ok {
			tree = append(tree, pair{note: (*comment)(&note)})
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("cannot read dotenv: line %d is neither KEY=value nor a comment", i+1)
		}
		tree = append(tree, pair{key: key, value: strings.ReplaceAll(value, `\n`, "\n")})
	}
	return tree, nil
}

package helm

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// separator is where Helm splits a template's output.
var separator = regexp.MustCompile(`(?m)^---[ \t]*`)

// document is one of a template's output.
type document struct {
	// line of its first one in the output, from 1.
	line int
	text string
}

func split(output string) []document {
	var out []document
	start := 0
	add := func(end int) {
		if part := output[start:end]; strings.TrimSpace(part) != "" {
			out = append(out, document{line: 1 + strings.Count(output[:start], "\n"), text: part})
		}
	}
	for _, found := range separator.FindAllStringIndex(output, -1) {
		add(found[0])
		start = found[1]
	}
	add(len(output))
	return out
}

// read decodes a document as Helm and kubectl do, who take YAML for what it was in version 1.1: yes is true, and of two equal
// keys the last one counts. nil is an empty document.
func (d document) read(source string) (map[string]any, error) {
	data, err := yaml.YAMLToJSON([]byte(d.text))
	if err != nil {
		return nil, d.refuse(source, err)
	}
	if string(data) == "null" {
		return nil, nil
	}
	if len(data) == 0 || data[0] != '{' {
		return nil, renderer.Refuse(source, 0, "line %d of its output: a manifest is a mapping with apiVersion and kind", d.line)
	}
	object, err := yamldoc.ObjectFromJSON(data)
	if err != nil {
		return nil, d.refuse(source, err)
	}
	if _, sealed := object["sops"]; sealed {
		return nil, renderer.Refuse(source, 0, "the output is encrypted with SOPS: keep encrypted manifests beside the bundle as they are, or use decrypt: hub")
	}
	return object, nil
}

var lineOfOutput = regexp.MustCompile(`^(?:error converting YAML to JSON: )?(?:yaml: )?(?:line (\d+): )?(?s:(.*))$`)

// refuse shows the key of the line that cannot be read, since nobody has the output at hand; its value may be a secret.
func (d document) refuse(source string, err error) error {
	found := lineOfOutput.FindStringSubmatch(err.Error())
	line, _ := strconv.Atoi(found[1])
	message := oneLine(found[2])
	lines := strings.Split(d.text, "\n")
	if line == 0 || line > len(lines) {
		return renderer.Refuse(source, 0, "line %d of its output: %s", d.line, message)
	}
	shown := ""
	if key := keyOfLine.FindStringSubmatch(lines[line-1]); key != nil {
		shown = fmt.Sprintf(", %q", key[1])
	}
	return renderer.Refuse(source, 0, "line %d of its output%s: %s", d.line+line-1, shown, message)
}

var keyOfLine = regexp.MustCompile(`^[\s-]*([\w./-]{1,60}:)(?:\s|$)`)

// items of a List, of any depth; anything else is its own only one.
func items(object map[string]any) ([]map[string]any, error) {
	kind, _ := object["kind"].(string)
	list, isList := object["items"].([]any)
	if !isList || !strings.HasSuffix(kind, "List") || name(object) != "" {
		return []map[string]any{object}, nil
	}
	var out []map[string]any
	for i, item := range list {
		inner, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("items[%d] of its %s is no mapping", i, kind)
		}
		found, err := items(inner)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

func name(object map[string]any) string {
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	return name
}

func annotations(object map[string]any) map[string]any {
	metadata, _ := object["metadata"].(map[string]any)
	out, _ := metadata["annotations"].(map[string]any)
	return out
}

// output collects the objects of a rendering.
type output struct {
	documents documents
	result    renderer.Result
	tests     bool
}

// add reads one file. Of a template, annotations make hooks; a chart's CRDs are what they are.
func (o *output) add(source, data string, hooks bool) error {
	for _, document := range split(data) {
		object, err := o.documents.read(document, source)
		if err != nil {
			return err
		}
		if len(object) == 0 {
			continue
		}
		var its fate
		if hooks {
			if its, err = fateOf(annotations(object), o.tests); err != nil {
				return renderer.Refuse(source, 0, "%s: %v", describe(object), err)
			}
			if its.warning != "" {
				o.result.Warnings = append(o.result.Warnings, fmt.Sprintf("%s: %s: %s", source, describe(object), its.warning))
			}
		}
		if its.drop {
			continue
		}
		found, err := items(object)
		if err != nil {
			return renderer.Refuse(source, 0, "line %d of its output: %v", document.line, err)
		}
		for _, value := range found {
			o.result.Objects = append(o.result.Objects, renderer.Object{Value: value, Source: source, Hook: its.hook})
		}
	}
	return nil
}

func describe(object map[string]any) string {
	kind, _ := object["kind"].(string)
	return strings.TrimSpace(kind + " " + name(object))
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

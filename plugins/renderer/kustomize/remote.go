package kustomize

import (
	"strings"

	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// remote says why the library would take a path for an address and clone it, even where a folder of that name is there.
func remote(text string) string {
	lower := strings.ToLower(text)
	switch {
	case strings.Contains(text, "://"):
		return "is an address"
	case strings.ContainsAny(text, "@:"):
		return "reads as an address of a Git repository"
	case strings.HasPrefix(lower, "github.com/"), strings.HasPrefix(lower, "www.github.com/"):
		return "is an address of a Git repository"
	default:
		return ""
	}
}

// pathKeys hold a path wherever they stand in a kustomization or in a plugin's configuration.
var pathKeys = map[string]bool{"path": true, "paths": true, "files": true, "envs": true, "env": true, "file": true, "valuesFile": true}

// refuseAddresses refuses addresses in all fields that name files.
func refuseAddresses(file string, document yamldoc.Document) error {
	return each(document.Value, "", "", func(key, at, text string) error {
		if !pathKeys[key] {
			return nil
		}
		if _, after, keyed := strings.Cut(text, "="); keyed {
			text = after
		}
		if strings.Contains(text, "://") && !strings.Contains(text, "\n") {
			return renderer.Refuse(file, document.LineOfPointer(at), "%q is an address; remote files are not supported", text)
		}
		return nil
	})
}

// checkPlugins looks at the configuration of generators, transformers and validators: only the library's own run here.
// first is the line of the configuration in the file.
func checkPlugins(file string, first int, data []byte) error {
	documents, err := yamldoc.Parse(data)
	if err != nil {
		return nil //nolint:nilerr // the library names what it cannot read
	}
	for _, document := range documents {
		object, _ := document.Object()
		line := first - 1 + document.Line
		if kind, _ := object["kind"].(string); strings.HasPrefix(kind, "HelmChart") {
			return renderer.Refuse(file, line, "%s would fetch a chart and run helm; render the chart with a bundle of its own: source: {helm: ...}", kind)
		}
		metadata, _ := object["metadata"].(map[string]any)
		annotations, _ := metadata["annotations"].(map[string]any)
		for _, name := range []string{"config.kubernetes.io/function", "config.k8s.io/function"} {
			if annotations[name] != nil {
				return renderer.Refuse(file, line, "annotation %s would run a program or container; only builtin plugins are supported", name)
			}
		}
		// A patch of a plugin's configuration may hold the path as its value.
		err := each(document.Value, "", "", func(key, at, text string) error {
			address := strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "http://")
			if address && (pathKeys[key] || key == "value") {
				return renderer.Refuse(file, first-1+document.LineOfPointer(at), "%q is an address; remote files are not supported", text)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// each calls do for every string of a value, with the key that it stands below and its JSON pointer.
func each(value any, key, at string, do func(key, at, text string) error) error {
	switch typed := value.(type) {
	case string:
		return do(key, at, typed)
	case map[string]any:
		return eachField(typed, at, do)
	case []any:
		for i, item := range typed {
			if err := each(item, key, at+"/"+itoa(i), do); err != nil {
				return err
			}
		}
	}
	return nil
}

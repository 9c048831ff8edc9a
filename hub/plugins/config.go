package plugins

import (
	"fmt"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/periplus-fleet/periplus/plugins/host"
	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
)

// Parse reads the file that declares plugins:
//
//	plugins:
//	- name: environment
//	  type: renderer
//	  path: environment
//	  sha256: 9f86d0...
//	  config: {registry: registry.example.com}
//	  network: false
//	  read: [/etc/environment-plugin]
//	  memory: 512Mi
//	  timeout: 1m
//	  processes: 2
//
// Errors are "file:line: plugins[0].field: message".
func Parse(file string, data []byte) ([]host.Declaration, error) {
	documents, err := yamldoc.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(documents) != 1 {
		return nil, fmt.Errorf("%s: want one document with the list plugins, not %d", file, len(documents))
	}
	r := &reading{file: file, document: documents[0]}
	root, ok := r.document.Object()
	if !ok {
		return nil, r.refuse("", "want a mapping with the list plugins")
	}
	for name := range root {
		if name != "plugins" {
			return nil, r.refuse(name, "unknown field; want plugins")
		}
	}
	list, ok := root["plugins"].([]any)
	if !ok && root["plugins"] != nil {
		return nil, r.refuse("plugins", "want a list")
	}
	out := make([]host.Declaration, 0, len(list))
	for i, item := range list {
		declared := r.declaration(fmt.Sprintf("plugins[%d]", i), item)
		if r.err != nil {
			return nil, r.err
		}
		out = append(out, declared)
	}
	return out, nil
}

// reading keeps the first error.
type reading struct {
	file     string
	document yamldoc.Document
	err      error
}

func (r *reading) refuse(path, format string, args ...any) error {
	where := fmt.Sprintf("%s:%d: ", r.file, max(1, r.document.LineOf(path)))
	if path != "" {
		where += path + ": "
	}
	return fmt.Errorf("%s%s", where, fmt.Sprintf(format, args...))
}

func (r *reading) fail(path, format string, args ...any) {
	if r.err == nil {
		r.err = r.refuse(path, format, args...)
	}
}

func (r *reading) declaration(at string, item any) host.Declaration {
	var out host.Declaration
	fields, ok := item.(map[string]any)
	if !ok {
		r.fail(at, "want a mapping")
		return out
	}
	for name, value := range fields {
		path := at + "." + name
		switch name {
		case "name":
			out.Name = r.text(path, value)
		case "type":
			out.Type = r.text(path, value)
		case "path":
			out.Path = r.text(path, value)
		case "sha256":
			out.SHA256 = r.text(path, value)
		case "config":
			if out.Config, ok = value.(map[string]any); !ok {
				r.fail(path, "want a mapping")
			}
		case "network":
			if out.Network, ok = value.(bool); !ok {
				r.fail(path, "want true or false")
			}
		case "read":
			out.Read = r.paths(path, value)
		case "memory":
			out.Memory = r.memory(path, value)
		case "timeout":
			out.Timeout = r.duration(path, value)
		case "processes":
			count, ok := value.(int64)
			if !ok || count < 1 || count > 256 {
				r.fail(path, "want a number from 1 to 256")
			}
			out.Processes = int(count)
		default:
			r.fail(path, "unknown field; want name, type, path, sha256, config, network, read, memory, timeout or processes")
		}
	}
	if out.Name == "" {
		r.fail(at+".name", "required")
	}
	return out
}

func (r *reading) text(path string, value any) string {
	text, ok := value.(string)
	if !ok || text == "" {
		r.fail(path, "want a text; quote what looks like a number")
	}
	return text
}

func (r *reading) paths(path string, value any) []string {
	list, ok := value.([]any)
	var out []string
	for _, item := range list {
		text, _ := item.(string)
		ok = ok && filepath.IsAbs(text)
		out = append(out, text)
	}
	if !ok {
		r.fail(path, "want a list of absolute paths")
	}
	return out
}

func (r *reading) memory(path string, value any) int64 {
	quantity, err := resource.ParseQuantity(fmt.Sprint(value))
	if err != nil || quantity.Value() < host.MinMemory {
		r.fail(path, "want an amount such as 512Mi, at least %dMi", host.MinMemory>>20)
	}
	return quantity.Value()
}

func (r *reading) duration(path string, value any) time.Duration {
	text, _ := value.(string)
	duration, err := time.ParseDuration(text)
	if err != nil || duration <= 0 {
		r.fail(path, "want a duration such as 30s")
	}
	return duration
}

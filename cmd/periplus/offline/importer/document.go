package importer

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	sigsjson "sigs.k8s.io/json"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
)

// Document is one YAML document with what every Kubernetes object has.
type Document struct {
	yamldoc.Document
	File       string
	Object     map[string]any
	APIVersion string
	Kind       string
	Namespace  string
	Name       string
	// within is where the object stands in its document, for an item of a List.
	within string
}

// At is where a field stands; "" is the document itself.
func (d Document) At(field string) Position {
	if d.within != "" {
		field = strings.TrimSuffix(d.within+"."+field, ".")
	}
	if field == "" || d.Lines() == nil {
		return Position{d.File, d.Line}
	}
	return Position{d.File, d.LineOf(field)}
}

// What names the object in a report.
func (d Document) What() string {
	if d.Namespace != "" {
		return d.Kind + " " + d.Namespace + "/" + d.Name
	}
	return d.Kind + " " + d.Name
}

// Group of the API.
func (d Document) Group() string {
	group, _, found := strings.Cut(d.APIVersion, "/")
	if !found {
		return ""
	}
	return group
}

// NewDocument reads what every object has.
func NewDocument(file string, parsed yamldoc.Document, object map[string]any) Document {
	d := Document{Document: parsed, File: file, Object: object}
	d.APIVersion, _ = object["apiVersion"].(string)
	d.Kind, _ = object["kind"].(string)
	metadata, _ := object["metadata"].(map[string]any)
	d.Name, _ = metadata["name"].(string)
	d.Namespace, _ = metadata["namespace"].(string)
	return d
}

// ParseDocuments reads a file; documents that are no mapping are left out.
func ParseDocuments(file string, data []byte) ([]Document, error) {
	parsed, err := yamldoc.Parse(data)
	var mistake *yamldoc.Error
	if errors.As(err, &mistake) {
		return nil, fmt.Errorf("%s: %s", Position{file, mistake.Line}, mistake.Message)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var out []Document
	for _, one := range parsed {
		if object, ok := one.Object(); ok {
			out = append(out, NewDocument(file, one, object))
		}
	}
	return out, nil
}

// Decode fills a struct of the fields that an importer knows. Every other field is reported at its line: what is not
// understood is never dropped in silence.
func (d Document) Decode(into any, report *Report) error {
	data, err := content.CanonicalJSON(d.Object)
	if err != nil {
		return fmt.Errorf("%s: %w", d.At(""), err)
	}
	unknown, err := sigsjson.UnmarshalStrict(data, into)
	if err != nil {
		return fmt.Errorf("%s: %s cannot be read: %s", d.At(""), d.What(), strings.TrimPrefix(err.Error(), "json: "))
	}
	for _, problem := range unknown {
		var at sigsjson.FieldError
		field := ""
		if errors.As(problem, &at) {
			field = at.FieldPath()
		}
		if serverSide(field) {
			continue
		}
		report.LeftOut(d.At(field), d.What()+": "+field, "the importer does not know this field", "see whether the bundle needs it")
	}
	return nil
}

// Read is Decode where a mistake in one object stops no other: it is reported, and ok is false.
func (d Document) Read(into any, report *Report) (ok bool) {
	if err := d.Decode(into, report); err != nil {
		report.LeftOut(d.At(""), d.What(), err.Error(), "mend it and import again")
		return false
	}
	return true
}

// serverSide fields are an API server's: they stand in what was read out of a cluster.
func serverSide(field string) bool {
	switch field {
	case "metadata.creationTimestamp", "metadata.generation", "metadata.managedFields", "metadata.resourceVersion", "metadata.selfLink", "metadata.uid", "metadata.ownerReferences":
		return true
	default:
		return field == "status" || strings.HasPrefix(field, "status.")
	}
}

// items are the objects of a List, each by itself.
func (d Document) items() []Document {
	list, _ := d.Object["items"].([]any)
	if !strings.HasSuffix(d.Kind, "List") || d.Name != "" || list == nil {
		return []Document{d}
	}
	var out []Document
	for i, one := range list {
		if object, ok := one.(map[string]any); ok {
			item := NewDocument(d.File, d.Document, object)
			item.within = fmt.Sprintf("items[%d]", i)
			out = append(out, item)
		}
	}
	return out
}

// Scan reads every YAML document below a folder whose file mentions one of the words. Charts' templates are no YAML yet and
// are passed by; a file that cannot be read is reported.
func Scan(files fs.FS, root string, report *Report, words ...string) ([]Document, error) {
	var out []Document
	err := fs.WalkDir(files, root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != root && (strings.HasPrefix(entry.Name(), ".") || isTemplates(files, file)):
			return fs.SkipDir
		case entry.IsDir() || !IsYAML(file):
			return nil
		}
		data, err := fs.ReadFile(files, file)
		if err != nil || !mentions(string(data), words) {
			return err
		}
		documents, err := ParseDocuments(file, data)
		if err != nil {
			report.LeftOut(Position{File: file}, "file", err.Error(), "")
			return nil
		}
		for _, d := range documents {
			out = append(out, d.items()...)
		}
		return nil
	})
	return out, err
}

func mentions(text string, words []string) bool {
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}
	return len(words) == 0
}

func isTemplates(files fs.FS, folder string) bool {
	return path.Base(folder) == "templates" && Exists(files, path.Join(path.Dir(folder), "Chart.yaml"))
}

// IsYAML says whether a file may hold manifests.
func IsYAML(file string) bool {
	switch path.Ext(file) {
	case ".yaml", ".yml", ".json":
		return true
	default:
		return false
	}
}

// Exists says whether a file or folder is there.
func Exists(files fs.FS, name string) bool {
	_, err := fs.Stat(files, path.Clean(name))
	return err == nil
}

// IsDir says whether a folder is there.
func IsDir(files fs.FS, name string) bool {
	info, err := fs.Stat(files, path.Clean(name))
	return err == nil && info.IsDir()
}

package fleet

import (
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	sigsjson "sigs.k8s.io/json"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
)

// document is one YAML document of a file, with what every kind has.
type document struct {
	yamldoc.Document
	file       string
	object     map[string]any
	apiVersion string
	kind       string
	name       string
	refused    []v1alpha1.Refusal
}

// refuse notes a mistake at a field.
func (d *document) refuse(field, format string, args ...any) {
	d.refused = append(d.refused, refusal(d.file, d.LineOf(field), field, format, args...))
}

func (d *document) position() Position { return Position{File: d.file, Line: d.Line} }

// parseFile splits a file into documents and checks what all kinds share.
func parseFile(file string, data []byte, namespace string) ([]*document, []v1alpha1.Refusal) {
	parsed, err := yamldoc.Parse(data)
	if err != nil {
		var mistake *yamldoc.Error
		if errors.As(err, &mistake) {
			return nil, []v1alpha1.Refusal{refusal(file, mistake.Line, "", "%s", mistake.Message)}
		}
		return nil, []v1alpha1.Refusal{refusal(file, 0, "", "%v", err)}
	}
	var documents []*document
	var refused []v1alpha1.Refusal
	for _, one := range parsed {
		object, ok := one.Object()
		if !ok {
			refused = append(refused, refusal(file, one.Line, "", "a document is a mapping with apiVersion, kind and metadata"))
			continue
		}
		d := &document{Document: one, file: file, object: object}
		d.apiVersion, _ = object["apiVersion"].(string)
		d.kind, _ = object["kind"].(string)
		d.checkMetadata(namespace)
		documents = append(documents, d)
	}
	return documents, refused
}

var metadataFields = []string{"name", "namespace", "labels", "annotations"}

func (d *document) checkMetadata(namespace string) {
	if d.apiVersion == "" {
		d.refuse("apiVersion", "apiVersion is required: %s", v1alpha1.GroupVersion)
	}
	if d.kind == "" {
		d.refuse("kind", "kind is required")
	}
	metadata, _ := d.object["metadata"].(map[string]any)
	d.name, _ = metadata["name"].(string)
	if group, _, _ := strings.Cut(d.apiVersion, "/"); strings.HasSuffix(group, ".gatekeeper.sh") {
		// Gatekeeper's files are read as they are: Suites have no name, and some objects a namespace of their own.
		if d.name == "" && group != "test.gatekeeper.sh" {
			d.refuse("metadata.name", "metadata.name is required")
		}
		return
	}
	if d.name == "" {
		d.refuse("metadata.name", "metadata.name is required")
	} else if problems := validation.IsDNS1123Label(d.name); len(problems) > 0 {
		d.refuse("metadata.name", "%q is no valid name: %s", d.name, problems[0])
	}
	for _, field := range slices.Sorted(maps.Keys(metadata)) {
		if !slices.Contains(metadataFields, field) {
			d.refuse("metadata."+field, "unknown field")
		}
	}
	if given, ok := metadata["namespace"].(string); ok && given != namespace {
		d.refuse("metadata.namespace", "the namespace is that of the FleetRepo, %q; leave it out", namespace)
	}
	if _, ok := d.object["status"]; ok {
		d.refuse("status", "status is not declared in Git")
	}
	d.checkLabels("metadata.labels", metadata["labels"])
	for key := range stringMap(metadata["annotations"]) {
		if strings.HasPrefix(key, v1alpha1.Group+"/") {
			d.refuse("metadata.annotations."+key, "annotations of %s/ are set by the hub", v1alpha1.Group)
		}
	}
}

func (d *document) checkLabels(field string, value any) {
	for key, text := range stringMap(value) {
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			d.refuse(field+"."+key, "no valid label key: %s", problems[0])
		}
		if problems := validation.IsValidLabelValue(text); len(problems) > 0 {
			d.refuse(field+"."+key, "no valid label value: %s", problems[0])
		}
		if strings.HasPrefix(key, v1alpha1.Group+"/") {
			d.refuse(field+"."+key, "labels of %s/ are set by the hub", v1alpha1.Group)
		}
	}
}

func stringMap(value any) map[string]string {
	out := map[string]string{}
	object, _ := value.(map[string]any)
	for key, item := range object {
		if text, ok := item.(string); ok {
			out[key] = text
		}
	}
	return out
}

var indexes = regexp.MustCompile(`\[\d+\]`)

// decode fills a typed kind, with unknown fields and wrong types refused by line and path.
func (d *document) decode(into any) bool {
	data, err := content.CanonicalJSON(d.object)
	if err != nil {
		d.refuse("", "%v", err)
		return false
	}
	strict, err := sigsjson.UnmarshalStrict(data, into)
	for _, problem := range strict {
		field, message := "", problem.Error()
		var at sigsjson.FieldError
		if errors.As(problem, &at) {
			field = at.FieldPath()
			message, _, _ = strings.Cut(message, " \"")
		}
		d.refuse(field, "%s", message)
	}
	if err == nil {
		return len(strict) == 0
	}
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) {
		d.refuse(d.fullPath(mistyped.Field), "must be %s, not %s", typeName(mistyped.Type.String()), mistyped.Value)
	} else {
		d.refuse("", "%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return false
}

// fullPath finds a field that the decoder names without list indexes.
func (d *document) fullPath(bare string) string {
	best := ""
	for path := range d.Lines() {
		if indexes.ReplaceAllString(path, "") == bare && (best == "" || path < best) {
			best = path
		}
	}
	if best == "" {
		return bare
	}
	return best
}

func typeName(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case strings.HasPrefix(goType, "map[") || strings.Contains(goType, "."):
		return "a mapping"
	case strings.Contains(goType, "int"):
		return "a whole number"
	case strings.HasPrefix(goType, "bool"):
		return "true or false"
	case strings.HasPrefix(goType, "float"):
		return "a number"
	default:
		return "a " + goType
	}
}

// has says whether the document holds a field, at any value but null.
func (d *document) has(path ...string) bool {
	var value any = d.object
	for _, key := range path {
		object, ok := value.(map[string]any)
		if !ok {
			return false
		}
		value = object[key]
	}
	return value != nil
}

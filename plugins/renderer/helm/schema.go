package helm

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// schemas are those of a chart and of its dependencies, compiled once. They are Helm's rules without its reach: a schema may
// refer to no file and no server.
type schemas struct {
	mu sync.Mutex
	// compiled by the first byte of the schema's text, which copies of a chart share.
	compiled map[*byte]compiled
}

type compiled struct {
	schema *jsonschema.Schema
	err    error
}

// check returns what is wrong with the values, by chart.
func (s *schemas) check(one *chart.Chart, values map[string]any) error {
	if len(one.Schema) > 0 {
		schema, err := s.of(one.Schema)
		if err != nil {
			return fmt.Errorf("values.schema.json of chart %q cannot be used: %w", one.Name(), err)
		}
		if err := schema.Validate(values); err != nil {
			return fmt.Errorf("the values do not meet values.schema.json of chart %q: %s", one.Name(), mistakes(err))
		}
	}
	for _, dependency := range one.Dependencies() {
		raw, ok := values[dependency.Name()]
		if !ok || raw == nil {
			continue
		}
		inner, ok := raw.(map[string]any)
		if !ok {
			return fmt.Errorf("the values of dependency %q are a mapping, not %T", dependency.Name(), raw)
		}
		if err := s.check(dependency, inner); err != nil {
			return err
		}
	}
	return nil
}

func (s *schemas) of(text []byte) (*jsonschema.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found, ok := s.compiled[&text[0]]; ok {
		return found.schema, found.err
	}
	if s.compiled == nil {
		s.compiled = map[*byte]compiled{}
	}
	schema, err := compile(text)
	s.compiled[&text[0]] = compiled{schema, err}
	return schema, err
}

const schemaURL = "file:///values.schema.json"

func compile(text []byte) (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, errors.New(oneLine(err.Error()))
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource(schemaURL, document); err != nil {
		return nil, errors.New(oneLine(err.Error()))
	}
	schema, err := compiler.Compile(schemaURL)
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(oneLine(err.Error()), schemaURL, "values.schema.json"))
	}
	return schema, nil
}

// noLoader refuses what a schema refers to outside of itself. As in Helm, an unknown urn: allows everything.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	if strings.HasPrefix(url, "urn:") {
		return true, nil
	}
	return nil, fmt.Errorf("it refers to %s: a schema may refer only to itself; copy what it needs into its $defs", url)
}

// mistakes lists what is wrong at which value, each once and in order.
func mistakes(err error) string {
	var failed *jsonschema.ValidationError
	if !errors.As(err, &failed) {
		return oneLine(err.Error())
	}
	printer := message.NewPrinter(language.English)
	found := map[string]bool{}
	var walk func(one *jsonschema.ValidationError)
	walk = func(one *jsonschema.ValidationError) {
		if len(one.Causes) == 0 {
			found[fmt.Sprintf("at %s: %s", pointer(one.InstanceLocation), what(one.ErrorKind, printer))] = true
		}
		for _, cause := range one.Causes {
			walk(cause)
		}
	}
	walk(failed)
	const most = 10
	list := slices.Sorted(maps.Keys(found))
	if more := len(list) - most; more > 0 {
		list = append(list[:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, "; ")
}

// what is wrong, without the value itself, which may be a secret.
func what(wrong jsonschema.ErrorKind, printer *message.Printer) string {
	switch wrong := wrong.(type) {
	case *kind.Pattern:
		return fmt.Sprintf("does not match pattern %q", wrong.Want)
	case *kind.Format:
		return "is not valid " + wrong.Want
	default:
		return wrong.LocalizedString(printer)
	}
}

func pointer(location []string) string {
	if len(location) == 0 {
		return "the root"
	}
	var out strings.Builder
	for _, part := range location {
		out.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
	}
	return out.String()
}

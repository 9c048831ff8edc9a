package helm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// layer puts the values files over each other, and the request's values over all. Maps merge, everything else is replaced;
// nulls stay, as they unset a chart's default.
func layer(request renderer.Request) (values map[string]any, warnings []string, err error) {
	values = map[string]any{}
	for _, name := range request.ValuesFiles {
		file := path.Join(request.Dir, name)
		data, err := fs.ReadFile(request.FS, file)
		if err != nil {
			return nil, nil, renderer.Refuse(file, 0, "the values file cannot be read: %v", err)
		}
		read, err := loader.LoadValues(bytes.NewReader(data))
		if err != nil {
			return nil, nil, refuseYAML(file, err)
		}
		if _, sealed := read["sops"]; sealed {
			return nil, nil, renderer.Refuse(file, 0, "the values are encrypted with SOPS: set spec.decrypt: hub to open them at the hub")
		}
		if warning := twice(data); warning != "" {
			warnings = append(warnings, file+warning)
		}
		values = loader.MergeMaps(values, read)
	}
	return loader.MergeMaps(values, asRead(request.Values).(map[string]any)), warnings, nil
}

// asRead gives values the types that they would have from a values file: charts are written for those, in which every number
// is a float64. The result shares nothing with what is given, since templates may write into their values.
func asRead(value any) any {
	switch typed := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(typed))
		for key, inner := range typed {
			out[key] = asRead(inner)
		}
		return out
	case []any:
		out := make([]any, len(typed))
		for i, inner := range typed {
			out[i] = asRead(inner)
		}
		return out
	case int64:
		return float64(typed)
	case int:
		return float64(typed)
	case json.Number:
		number, _ := typed.Float64()
		return number
	default:
		return value
	}
}

var lineOfYAML = regexp.MustCompile(`line (\d+): (?s:(.*))`)

func refuseYAML(file string, err error) error {
	if found := lineOfYAML.FindStringSubmatch(err.Error()); found != nil {
		line, _ := strconv.Atoi(found[1])
		return renderer.Refuse(file, line, "%s", oneLine(found[2]))
	}
	return renderer.Refuse(file, 0, "%s", oneLine(err.Error()))
}

var keyTwice = regexp.MustCompile(`line (\d+): key "?([^"]*)"? already set in map`)

// twice names a key that stands twice in a file: Helm takes the last one without a word.
func twice(data []byte) string {
	var into any
	err := yaml.UnmarshalStrict(data, &into)
	if err == nil {
		return ""
	}
	if found := keyTwice.FindStringSubmatch(err.Error()); found != nil {
		return fmt.Sprintf(":%s: key %q stands twice; the last one counts", found[1], found[2])
	}
	return ""
}

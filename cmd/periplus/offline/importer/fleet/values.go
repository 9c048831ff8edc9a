package fleet

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
)

// valuesFiles stay files where nothing in them has to be translated and nothing goes below them; helm.values do in Fleet.
func (m *making) valuesFiles() []string {
	helm := m.yaml.Helm
	if helm == nil || !m.keepsFiles(*helm) {
		return nil
	}
	var out []string
	for _, name := range helm.ValuesFiles {
		data, err := fs.ReadFile(m.Tree, path.Join(m.folder, name))
		if err == nil {
			out = append(out, path.Join(m.Add("values", map[string][]byte{path.Base(name): data}), path.Base(name)))
		}
	}
	return out
}

func (m *making) keepsFiles(helm helmOptions) bool {
	for _, name := range helm.ValuesFiles {
		data, err := fs.ReadFile(m.Tree, path.Join(m.folder, name))
		if err != nil || strings.Contains(string(data), "${") || strings.Contains(string(data), "global.fleet.") {
			return false
		}
	}
	return len(helm.Values) == 0
}

// values of the bundle, or of one customization, with Fleet's templates as expressions.
func (m *making) values(helm *helmOptions, at string) map[string]any {
	if helm == nil {
		return nil
	}
	values := helm.Values
	if helm != m.yaml.Helm || !m.keepsFiles(*helm) {
		for i, name := range helm.ValuesFiles {
			file := path.Join(m.folder, name)
			data, err := fs.ReadFile(m.Tree, file)
			if err == nil {
				var documents []importer.Document
				if documents, err = importer.ParseDocuments(file, data); err == nil && len(documents) > 0 {
					values = importer.Merge(values, documents[0].Object)
				}
			}
			if err != nil {
				m.repo.Report.LeftOut(m.d.At(fmt.Sprintf("%s.valuesFiles[%d]", at, i)), "values file "+name, err.Error(), "")
			}
		}
	}
	out := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		out[key] = m.expression(values[key], at+".values."+key, helm)
	}
	for _, key := range slices.Sorted(maps.Keys(helm.TemplateValues)) {
		out[key] = m.expression(helm.TemplateValues[key], at+".templateValues."+key, helm)
	}
	m.valuesFrom(helm, at)
	return out
}

func (m *making) valuesFrom(helm *helmOptions, at string) {
	for i, from := range helm.ValuesFrom {
		reference, kind := v1alpha1.ValuesReference{}, "ConfigMap"
		switch {
		case from.ConfigMapKeyRef != nil:
			reference.ConfigMap = &v1alpha1.KeyReference{Name: from.ConfigMapKeyRef.Name, Key: from.ConfigMapKeyRef.Key}
		case from.SecretKeyRef != nil:
			kind = "Secret"
			reference.Secret = &v1alpha1.KeyReference{Name: from.SecretKeyRef.Name, Key: from.SecretKeyRef.Key}
		default:
			continue
		}
		if helm != m.yaml.Helm {
			m.repo.Report.LeftOut(m.d.At(at), m.d.What()+": "+at+".valuesFrom", "it is read for all targets alike", "add it to the target's valuesFrom")
			continue
		}
		m.Spec.ValuesFrom = append(m.Spec.ValuesFrom, reference)
		m.repo.Report.Differs(m.d.At(fmt.Sprintf("%s.valuesFrom[%d]", at, i)), m.d.What()+": valuesFrom", kind+" of the hub's namespace, not of each cluster", "make it there")
	}
}

// expression translates every text of a value.
func (m *making) expression(value any, at string, helm *helmOptions) any {
	switch typed := value.(type) {
	case string:
		text := importer.Literal(typed).(string)
		if key, old := strings.CutPrefix(typed, "global.fleet.clusterLabels."); old {
			return fmt.Sprintf("${{ cluster.labels[%q] }}", key)
		}
		if helm.DisablePre != nil && *helm.DisablePre {
			return text
		}
		out, ok := translate(typed)
		if !ok {
			m.repo.Report.LeftOut(m.d.At(at), m.d.What()+": "+at, fmt.Sprintf("the template %q has no equal that could be found", strings.TrimSpace(typed)),
				"write it as an expression over cluster: ${{ cluster.labels.env }}")
			return text
		}
		return out
	case []any:
		out := make([]any, len(typed))
		for i := range typed {
			out[i] = m.expression(typed[i], fmt.Sprintf("%s[%d]", at, i), helm)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for key, item := range typed {
			if strings.Contains(key, "${") {
				m.repo.Report.LeftOut(m.d.At(at), m.d.What()+": "+at, fmt.Sprintf("key %q: a key cannot be an expression", key), "")
			}
			out[key] = m.expression(item, at+"."+key, helm)
		}
		return out
	default:
		return value
	}
}

var (
	template = regexp.MustCompile(`\$\{-?\s*(.*?)\s*-?\}`)
	field    = regexp.MustCompile(`^\.(ClusterName|ClusterNamespace|ClusterLabels|ClusterValues)((?:\.[A-Za-z_][A-Za-z0-9_]*)*)$`)
	indexed  = regexp.MustCompile(`^(?:get|index)\s+\.(ClusterLabels|ClusterValues)\s+"([^"]+)"$`)
	fallback = regexp.MustCompile(`^(.*?)\s*\|\s*default\s+("[^"]*"|[0-9]+|true|false)$`)
)

var facts = map[string]string{"ClusterName": "cluster.name", "ClusterNamespace": "cluster.namespace", "ClusterLabels": "cluster.labels", "ClusterValues": "cluster.variables"}

// translate turns Fleet's ${ .ClusterLabels.env } into expressions; ok is false where a template does more than name a fact.
func translate(text string) (out string, ok bool) {
	ok = true
	text = importer.Literal(text).(string)
	out = template.ReplaceAllStringFunc(text, func(found string) string {
		if strings.HasPrefix(found, "${{") {
			return found
		}
		inner := template.FindStringSubmatch(found)[1]
		inner = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(inner), "| quote"))
		expression, known := fact(inner)
		if parts := fallback.FindStringSubmatch(inner); !known && parts != nil {
			if expression, known = fact(parts[1]); known {
				cut := strings.LastIndexAny(expression, ".[")
				rest := strings.Trim(expression[cut+1:], `"]`)
				expression = fmt.Sprintf("%s[?%q].orValue(%s)", expression[:cut], rest, parts[2])
			}
		}
		if !known {
			ok = false
			return found
		}
		return "${{ " + expression + " }}"
	})
	return out, ok
}

func fact(text string) (string, bool) {
	if parts := field.FindStringSubmatch(text); parts != nil {
		return facts[parts[1]] + parts[2], true
	}
	if parts := indexed.FindStringSubmatch(text); parts != nil {
		return fmt.Sprintf("%s[%q]", facts[parts[1]], parts[2]), true
	}
	return "", false
}

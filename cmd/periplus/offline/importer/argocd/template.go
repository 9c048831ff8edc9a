package argocd

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"sigs.k8s.io/yaml"
)

// templating fills an ApplicationSet's template, in one of Argo CD's two languages.
type templating struct {
	goTemplate bool
	options    []string
}

var (
	fasttemplate = regexp.MustCompile(`\{\{\s*([^{}]*?)\s*\}\}`)
	notNormal    = regexp.MustCompile(`[^a-z0-9-.]`)
)

// fill replaces in every text of a value.
func (t templating) fill(value any, params map[string]any) (any, error) {
	switch typed := value.(type) {
	case string:
		return t.text(typed, params)
	case []any:
		out := make([]any, len(typed))
		for i := range typed {
			item, err := t.fill(typed[i], params)
			if err != nil {
				return nil, err
			}
			out[i] = item
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(typed))
		for key, item := range typed {
			name, err := t.text(key, params)
			if err != nil {
				return nil, err
			}
			if out[name], err = t.fill(item, params); err != nil {
				return nil, err
			}
		}
		return out, nil
	default:
		return value, nil
	}
}

func (t templating) text(text string, params map[string]any) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	if !t.goTemplate {
		flat := flatten(params)
		return fasttemplate.ReplaceAllStringFunc(text, func(found string) string {
			if value, ok := flat[fasttemplate.FindStringSubmatch(found)[1]]; ok {
				return value
			}
			return found
		}), nil
	}
	parsed, err := template.New("").Funcs(functions()).Option(t.options...).Parse(text)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, params); err != nil {
		return "", err
	}
	return out.String(), nil
}

// functions are sprig's and Argo CD's own, without those that read the environment.
func functions() template.FuncMap {
	out := sprig.TxtFuncMap()
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		delete(out, name)
	}
	out["normalize"] = normalize
	out["slugify"] = func(args ...any) string { return normalize(fmt.Sprint(args[len(args)-1])) }
	out["toYaml"] = func(value any) (string, error) {
		data, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(data), "\n"), err
	}
	out["fromYaml"] = func(text string) (map[string]any, error) {
		value := map[string]any{}
		return value, yaml.Unmarshal([]byte(text), &value)
	}
	out["fromYamlArray"] = func(text string) ([]any, error) {
		var value []any
		return value, yaml.Unmarshal([]byte(text), &value)
	}
	return out
}

// normalize makes a DNS name, as Argo CD does.
func normalize(name string) string {
	name = notNormal.ReplaceAllString(strings.ToLower(name), "-")
	if len(name) > 253 {
		name = name[:253]
	}
	return strings.Trim(name, "-.")
}

// flatten gives parameters the dotted names of the older language.
func flatten(params map[string]any) map[string]string {
	out := map[string]string{}
	flattenInto(out, "", params)
	if folder, ok := params["path"].(map[string]any); ok {
		out["path"] = fmt.Sprint(folder["path"])
		segments, _ := folder["segments"].([]any)
		for i, segment := range segments {
			out[fmt.Sprintf("path[%d]", i)] = fmt.Sprint(segment)
		}
	}
	return out
}

func flattenInto(out map[string]string, prefix string, value any) {
	object, ok := value.(map[string]any)
	if !ok {
		if list, isList := value.([]any); isList {
			for i, item := range list {
				flattenInto(out, fmt.Sprintf("%s[%d]", prefix, i), item)
			}
			return
		}
		out[prefix] = fmt.Sprint(value)
		return
	}
	for key, item := range object {
		if prefix != "" {
			key = prefix + "." + key
		}
		flattenInto(out, key, item)
	}
}

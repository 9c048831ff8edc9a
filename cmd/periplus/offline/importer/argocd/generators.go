package argocd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
)

// generation runs the generators of one ApplicationSet.
type generation struct {
	*reading
	templating
	d importer.Document
	// symbolic says that a cluster generator gives one set of parameters that stands for every cluster: its facts are marks,
	// which become expressions. selector is then whom the clusters are chosen by.
	symbolic bool
	selector *metav1.LabelSelector
	used     bool
}

// marks stand for facts of a cluster that is not known yet; they become ${{ }} once everything else was escaped.
const mark = "\x01"

func marked(expression string) string { return mark + expression + mark }

var marks = regexp.MustCompile(mark + "([^" + mark + "]*)" + mark)

var errNoClusters = errors.New("no cluster Secrets are in this folder, so it is not known which clusters are meant")

// params of one generator.
func (g *generation) params(generator map[string]any, at string) ([]map[string]any, error) {
	var out []map[string]any
	var err error
	known := false
	for _, kind := range slices.Sorted(maps.Keys(generator)) {
		body, _ := generator[kind].(map[string]any)
		field := at + "." + kind
		switch kind {
		case "selector", "template":
			continue
		case "list":
			out, err = g.list(body)
		case "clusters":
			out, err = g.clusters(body)
		case "git":
			out, err = g.git(body)
		case "matrix":
			out, err = g.matrix(body, field)
		case "merge":
			out, err = g.merge(body, field)
		default:
			return nil, &importer.UnsupportedError{At: g.d.At(field), Why: "generator " + kind + " asks a service", Do: "write what it gives as a list, or clusters with the labels that targets select by"}
		}
		known = true
		if err != nil {
			return nil, err
		}
	}
	if !known {
		return nil, &importer.UnsupportedError{At: g.d.At(at), Why: "it is empty", Do: ""}
	}
	return g.selected(generator, out)
}

// selected keeps what a generator's own selector matches.
func (g *generation) selected(generator map[string]any, params []map[string]any) ([]map[string]any, error) {
	if generator["selector"] == nil {
		return params, nil
	}
	selector, err := selectorOf(generator["selector"])
	if err != nil {
		return nil, err
	}
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(params, func(one map[string]any) bool { return !compiled.Matches(labels.Set(flatten(one))) }), nil
}

func selectorOf(value any) (*metav1.LabelSelector, error) {
	out := &metav1.LabelSelector{}
	data, err := json.Marshal(value)
	if err != nil || value == nil {
		return out, err
	}
	return out, json.Unmarshal(data, out)
}

func (g *generation) list(body map[string]any) ([]map[string]any, error) {
	elements, _ := body["elements"].([]any)
	if text, ok := body["elementsYaml"].(string); ok && text != "" {
		documents, err := importer.ParseDocuments("", []byte("elements:\n"+indent(text)))
		if err != nil {
			return nil, fmt.Errorf("%s: elementsYaml: %w", g.d.At(""), err)
		}
		more, _ := documents[0].Object["elements"].([]any)
		elements = slices.Concat(elements, more)
	}
	var out []map[string]any
	for _, element := range elements {
		if params, ok := element.(map[string]any); ok {
			out = append(out, params)
		}
	}
	return out, nil
}

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }

// values are computed from the other parameters.
func (g *generation) values(body, params map[string]any) error {
	given, ok := body["values"].(map[string]any)
	if !ok {
		return nil
	}
	filled, err := g.fill(given, params)
	params["values"] = filled
	return err
}

func (g *generation) clusters(body map[string]any) ([]map[string]any, error) {
	selector, err := selectorOf(body["selector"])
	if err != nil {
		return nil, err
	}
	if g.symbolic {
		g.selector, g.used = selector, true
		params := map[string]any{"name": marked("cluster.name"), "nameNormalized": marked("cluster.name"), "server": marked("cluster.server"),
			"metadata": map[string]any{"labels": g.labels(), "annotations": map[string]any{}}}
		return []map[string]any{params}, g.values(body, params)
	}
	if len(g.known) == 0 {
		return nil, &importer.UnsupportedError{At: g.d.At("spec.generators"), Why: errNoClusters.Error(),
			Do: "put the cluster Secrets (name, server and labels are enough) into the folder and import again"}
	}
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, err
	}
	var out []map[string]any
	for _, cluster := range g.known {
		if !compiled.Matches(labels.Set(cluster.labels)) {
			continue
		}
		own := map[string]any{}
		for key, value := range cluster.labels {
			own[key] = value
		}
		params := map[string]any{"name": cluster.name, "nameNormalized": normalize(cluster.name), "server": cluster.server,
			"metadata": map[string]any{"labels": own, "annotations": map[string]any{}}}
		if err := g.values(body, params); err != nil {
			return nil, err
		}
		out = append(out, params)
	}
	return out, nil
}

var labelUse = regexp.MustCompile(`metadata\.labels\.([A-Za-z0-9_./-]+)|index\s+\.metadata\.labels\s+"([^"]+)"`)

// labels that the template asks for, as marks.
func (g *generation) labels() map[string]any {
	out := map[string]any{}
	text, _ := json.Marshal(g.d.Object)
	for _, found := range labelUse.FindAllStringSubmatch(strings.ReplaceAll(string(text), `\"`, `"`), -1) {
		key := found[1] + found[2]
		out[key] = marked(fmt.Sprintf("cluster.labels[%q]", key))
	}
	return out
}

// git finds folders, or files with parameters, in this repository.
func (g *generation) git(body map[string]any) ([]map[string]any, error) {
	url, _ := body["repoURL"].(string)
	root, ok := g.checkout(url, "")
	if !ok {
		return nil, &importer.UnsupportedError{At: g.d.At("spec.generators"), Why: fmt.Sprintf("repository %s is not in this folder", url), Do: "check it out below the folder and import again with --local " + url + "=<its folder>"}
	}
	tree, err := fs.Sub(g.Tree, root)
	if err != nil {
		return nil, err
	}
	folders, _ := body["directories"].([]any)
	files, _ := body["files"].([]any)
	var out []map[string]any
	if len(folders) > 0 {
		for _, folder := range matching(tree, folders, true) {
			out = append(out, map[string]any{"path": pathParams(folder, "")})
		}
	}
	if len(files) > 0 {
		for _, file := range matching(tree, files, false) {
			data, err := fs.ReadFile(tree, file)
			if err != nil {
				return nil, err
			}
			documents, err := importer.ParseDocuments(file, data)
			if err != nil {
				return nil, err
			}
			for _, d := range documents {
				params := importer.Merge(d.Object, map[string]any{"path": pathParams(path.Dir(file), path.Base(file))})
				out = append(out, params)
			}
		}
	}
	for _, params := range out {
		if err := g.values(body, params); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func pathParams(folder, file string) map[string]any {
	segments := []any{}
	for part := range strings.SplitSeq(folder, "/") {
		segments = append(segments, part)
	}
	return map[string]any{"path": folder, "basename": path.Base(folder), "basenameNormalized": normalize(path.Base(folder)),
		"filename": file, "filenameNormalized": normalize(file), "segments": segments}
}

// matching are the folders or files that the patterns name and none excludes, sorted.
func matching(tree fs.FS, patterns []any, folders bool) []string {
	var out []string
	_ = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != "." && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		if entry.IsDir() != folders || name == "." {
			return nil
		}
		chosen, excluded := false, false
		for _, one := range patterns {
			item, _ := one.(map[string]any)
			pattern, _ := item["path"].(string)
			if !globbed(strings.Trim(pattern, "/"), name) {
				continue
			}
			chosen = true
			excluded = excluded || item["exclude"] == true
		}
		if chosen && !excluded {
			out = append(out, name)
		}
		return nil
	})
	return out
}

// globbed matches as Git and Argo CD do: * within a folder, ** across folders.
func globbed(pattern, name string) bool {
	if pattern == "**" {
		return true
	}
	first, rest, more := strings.Cut(pattern, "/")
	if first == "**" && more {
		for {
			if globbed(rest, name) {
				return true
			}
			_, after, found := strings.Cut(name, "/")
			if !found {
				return false
			}
			name = after
		}
	}
	head, tail, deeper := strings.Cut(name, "/")
	if matched, _ := path.Match(first, head); !matched {
		return false
	}
	if !more || !deeper {
		return !more && !deeper
	}
	return globbed(rest, tail)
}

// matrix is every pair of two generators; the second may use the first's parameters.
func (g *generation) matrix(body map[string]any, at string) ([]map[string]any, error) {
	generators, _ := body["generators"].([]any)
	if len(generators) != 2 {
		return nil, &importer.UnsupportedError{At: g.d.At(at), Why: "a matrix has two generators", Do: ""}
	}
	first, _ := generators[0].(map[string]any)
	left, err := g.params(first, at+".generators[0]")
	if err != nil {
		return nil, err
	}
	var out []map[string]any
	for _, params := range left {
		filled, err := g.fill(generators[1], params)
		if err != nil {
			return nil, err
		}
		second, _ := filled.(map[string]any)
		right, err := g.params(second, at+".generators[1]")
		if err != nil {
			return nil, err
		}
		for _, more := range right {
			out = append(out, importer.Merge(params, more))
		}
	}
	return out, nil
}

// merge lays what later generators give over what the first gave, where the keys are equal.
func (g *generation) merge(body map[string]any, at string) ([]map[string]any, error) {
	generators, _ := body["generators"].([]any)
	keys := importer.Strings(body["mergeKeys"])
	var out []map[string]any
	for i, one := range generators {
		generator, _ := one.(map[string]any)
		params, err := g.params(generator, fmt.Sprintf("%s.generators[%d]", at, i))
		if err != nil {
			return nil, err
		}
		if i == 0 {
			out = params
			continue
		}
		for _, over := range params {
			for j, base := range out {
				if keysOf(base, keys) == keysOf(over, keys) {
					out[j] = importer.Merge(base, over)
				}
			}
		}
	}
	return out, nil
}

func keysOf(params map[string]any, keys []string) string {
	flat := flatten(params)
	var out []string
	for _, key := range keys {
		out = append(out, fmt.Sprintf("%q", flat[key]))
	}
	return strings.Join(out, " ")
}

package engine

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"sigs.k8s.io/yaml"
)

// documents are what conftest packages find below data beside packages: the files of the folders named data, merged. The
// folders below such a folder nest, the files' own names do not count, as with conftest --data.
type documents struct {
	values map[string]any
	// files by the first key of what they hold.
	files map[string][]File
}

func newDocuments() documents { return documents{values: map[string]any{}, files: map[string][]File{}} }

// IsDocument says whether a file below policies/ holds data of conftest packages.
func IsDocument(file string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(file)) && slices.Contains(strings.Split(path.Dir(file), "/"), "data")
}

// Documents merges files. The first that cannot be read or merged is refused by the error.
func Documents(files []File) (map[string]any, error) {
	all := newDocuments()
	for _, file := range files {
		if err := all.add(file); err != nil {
			return nil, located(err)
		}
	}
	return all.values, nil
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// add a file.
func (d documents) add(file File) error {
	var value any
	if err := yaml.Unmarshal([]byte(file.Text), &value); err != nil {
		line := 1
		if match := yamlLine.FindStringSubmatch(err.Error()); match != nil {
			line, _ = strconv.Atoi(match[1])
		}
		return refuse(file.Path, line, "", "cannot read the data: %s", oneLine(err.Error()))
	}
	fields, is := value.(map[string]any)
	if !is {
		return refuse(file.Path, 1, "", "data must be a map: its keys are what packages find below data")
	}
	folders := strings.Split(path.Dir(file.Path), "/")
	folders = folders[slices.Index(folders, "data")+1:]
	at := d.values
	if len(folders) > 0 {
		d.files[folders[0]] = append(d.files[folders[0]], file)
	} else {
		for key := range fields {
			d.files[key] = append(d.files[key], file)
		}
	}
	for _, folder := range folders {
		inner := at[folder]
		if inner == nil {
			inner = map[string]any{}
			at[folder] = inner
		}
		below, is := inner.(map[string]any)
		if !is {
			return refuse(file.Path, 1, folder, "data.%s has a value already", folder)
		}
		at = below
	}
	return mergeInto(at, fields, file, "")
}

// mergeInto adds fields; what stands in two files must be a map in both.
func mergeInto(into, fields map[string]any, file File, at string) error {
	for key, value := range fields {
		before, twice := into[key]
		inner, isMap := value.(map[string]any)
		below, wasMap := before.(map[string]any)
		switch {
		case !twice && isMap:
			into[key] = map[string]any{}
			if err := mergeInto(into[key].(map[string]any), inner, file, at+key+"."); err != nil {
				return err
			}
		case !twice:
			into[key] = value
		case isMap && wasMap:
			if err := mergeInto(below, inner, file, at+key+"."); err != nil {
				return err
			}
		default:
			return refuse(file.Path, 1, at+key, "data.%s%s stands in two files", at, key)
		}
	}
	return nil
}

// reached by a reference: the document's name; "" where it names none.
func (d documents) reached(ref ast.Ref) string {
	first, _ := constant(ref, 1)
	if _, known := d.values[first]; !known {
		return ""
	}
	return first
}

// text of what a policy uses, for its digest.
func (d documents) text(names []string) string {
	used := map[string]any{}
	for _, name := range names {
		used[name] = d.values[name]
	}
	data, _ := json.Marshal(used)
	return string(data)
}

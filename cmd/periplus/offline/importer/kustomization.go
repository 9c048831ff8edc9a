package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

var kustomizationNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// KustomizationIn returns the file of a folder's kustomization; ok is false where there is none.
func KustomizationIn(files fs.FS, folder string) (file string, ok bool) {
	for _, name := range kustomizationNames {
		if candidate := path.Join(folder, name); Exists(files, candidate) {
			return candidate, true
		}
	}
	return "", false
}

// UnsupportedError says what in a kustomization cannot be copied, and what to do.
type UnsupportedError struct {
	At      Position
	Why, Do string
}

func (e *UnsupportedError) Error() string { return e.At.String() + ": " + e.Why }

// Unsupported is the mistake of one bundle's content: it is reported, and stops no other.
func Unsupported(err error, at Position) *UnsupportedError {
	var unsupported *UnsupportedError
	if errors.As(err, &unsupported) {
		return unsupported
	}
	return &UnsupportedError{at, err.Error(), "mend it and import again"}
}

// CopyKustomization reads what a kustomization is built of, by its path from the repository's root: its folder's files, as far
// as they are named, and the folders that it names in turn. What it would fetch or run is an *UnsupportedError.
func CopyKustomization(files fs.FS, folder string) (map[string][]byte, error) {
	c := closure{files: files, out: map[string][]byte{}, seen: map[string]bool{}}
	return c.out, c.folder(path.Clean(folder))
}

type closure struct {
	files fs.FS
	out   map[string][]byte
	seen  map[string]bool
}

// Fields that name files or folders, alone or one level down.
var (
	entryFields  = []string{"resources", "bases", "components", "crds", "configurations", "transformers", "generators", "validators", "patchesStrategicMerge"}
	pathFields   = []string{"patches", "patchesJson6902", "replacements"}
	sourceFields = []string{"files", "envs"}
	fetchFields  = []string{"helmCharts", "helmChartInflationGenerator", "helmGlobals"}
)

func (c *closure) folder(folder string) error {
	if c.seen[folder] {
		return nil
	}
	c.seen[folder] = true
	file, ok := KustomizationIn(c.files, folder)
	if !ok {
		return &UnsupportedError{Position{File: folder}, "there is no kustomization in this folder", "give it one"}
	}
	data, err := fs.ReadFile(c.files, file)
	if err != nil {
		return err
	}
	c.out[file] = data
	documents, err := ParseDocuments(file, data)
	if err != nil || len(documents) == 0 {
		return err
	}
	return c.follow(folder, documents[0])
}

func (c *closure) follow(folder string, d Document) error {
	for _, field := range fetchFields {
		if d.Object[field] != nil {
			return &UnsupportedError{d.At(field), field + " renders a chart inside a kustomization", "give the chart a bundle of its own with source.helm"}
		}
	}
	for _, field := range entryFields {
		list, _ := d.Object[field].([]any)
		for i, entry := range list {
			text, _ := entry.(string)
			if err := c.entry(folder, text, d.At(fmt.Sprintf("%s[%d]", field, i))); err != nil {
				return err
			}
		}
	}
	for _, field := range pathFields {
		list, _ := d.Object[field].([]any)
		for i, one := range list {
			item, _ := one.(map[string]any)
			text, _ := item["path"].(string)
			if err := c.entry(folder, text, d.At(fmt.Sprintf("%s[%d].path", field, i))); err != nil {
				return err
			}
		}
	}
	openapi, _ := d.Object["openapi"].(map[string]any)
	text, _ := openapi["path"].(string)
	if err := c.entry(folder, text, d.At("openapi")); err != nil {
		return err
	}
	return c.generators(folder, d)
}

// generators read the files of ConfigMaps and Secrets, as name or key=name.
func (c *closure) generators(folder string, d Document) error {
	for _, field := range []string{"configMapGenerator", "secretGenerator"} {
		list, _ := d.Object[field].([]any)
		for i, one := range list {
			item, _ := one.(map[string]any)
			named := []string{}
			for _, source := range sourceFields {
				named = append(named, Strings(item[source])...)
			}
			if env, ok := item["env"].(string); ok {
				named = append(named, env)
			}
			for _, text := range named {
				if _, after, keyed := strings.Cut(text, "="); keyed {
					text = after
				}
				if err := c.entry(folder, text, d.At(fmt.Sprintf("%s[%d]", field, i))); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// entry takes a file, or the kustomization of a folder; inline content names nothing.
func (c *closure) entry(folder, text string, at Position) error {
	if text == "" || strings.Contains(text, "\n") {
		return nil
	}
	full := path.Join(folder, text)
	switch {
	case !fs.ValidPath(full):
		return &UnsupportedError{at, fmt.Sprintf("%q leads out of the repository", text), "copy it into the repository"}
	case IsDir(c.files, full):
		return c.folder(full)
	case !Exists(c.files, full):
		return &UnsupportedError{at, fmt.Sprintf("%q is not in the repository", text), "copy it into the repository (vendor it), name it by its path, and import again"}
	case path.Base(full) == bundleFile:
		return &UnsupportedError{at, "a file named " + bundleFile + " would declare a bundle", "rename it"}
	}
	data, err := fs.ReadFile(c.files, full)
	c.out[full] = data
	return err
}

// EditYAML changes top-level fields of a YAML mapping and leaves the rest as it was written, remarks included.
func EditYAML(data []byte, edit func(object map[string]any)) ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, err
	}
	if len(document.Content) == 0 {
		document = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode}}}
	}
	mapping := document.Content[0]
	before, after := map[string]any{}, map[string]any{}
	if err := mapping.Decode(&before); err != nil {
		return nil, err
	}
	if err := mapping.Decode(&after); err != nil {
		return nil, err
	}
	edit(after)
	for i := 0; i+1 < len(mapping.Content); {
		if _, kept := after[mapping.Content[i].Value]; !kept {
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
			continue
		}
		i += 2
	}
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if have, ok := before[key]; ok && reflect.DeepEqual(have, after[key]) {
			continue
		}
		if err := setKey(mapping, key, after[key]); err != nil {
			return nil, err
		}
	}
	return encode(&document)
}

func setKey(mapping *yaml.Node, key string, value any) error {
	var node yaml.Node
	if err := node.Encode(value); err != nil {
		return err
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			mapping.Content[i+1] = &node
			return nil
		}
	}
	mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, &node)
	return nil
}

func encode(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return out.Bytes(), encoder.Close()
}

// YAML of a value, as it is written everywhere.
func YAML(value any) ([]byte, error) { return encode(value) }

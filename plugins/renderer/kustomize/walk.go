package kustomize

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// Limits of one build: its kustomizations, and how many are built on each other.
const (
	maxFolders = 1000
	maxDepth   = 50
)

var names = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// field of a kustomization that names files or folders.
type field struct {
	name string
	// objects says that its files hold objects of the output.
	objects bool
	// plugins says that its files configure generators and transformers, which may load files themselves.
	plugins bool
	// inline says that an entry may be the content itself.
	inline bool
	// instead is what a deprecated field became.
	instead string
}

var fields = []field{
	{name: "resources", objects: true},
	{name: "bases", objects: true, instead: "resources"},
	{name: "components"},
	{name: "crds"},
	{name: "configurations"},
	{name: "generators", plugins: true, inline: true},
	{name: "transformers", plugins: true, inline: true},
	{name: "validators", plugins: true, inline: true},
	{name: "patchesStrategicMerge", inline: true, instead: "patches"},
}

// deprecated fields that name no files.
var deprecated = []field{
	{name: "commonLabels", instead: "labels"}, {name: "patchesJson6902", instead: "patches"}, {name: "vars", instead: "replacements"},
	{name: "imageTags", instead: "images"},
}

// walk goes through a kustomization and everything that it is built on, before the library does: it refuses what would leave
// the repository, and notes where objects are declared.
type walk struct {
	files *files
	// seen folders, by whether they were read as configuration of plugins.
	seen map[seen]string
	// open are the folders between the first one and the one being read.
	open []string
	// ownSchemas says that a kustomization replaces Kubernetes' schemas.
	ownSchemas bool
	origins    origins
	// documents are the kustomizations by file.
	documents map[string]yamldoc.Document
	// broken are files that cannot be read as YAML, for when the library fails.
	broken   []error
	warnings []string
}

type seen struct {
	folder  string
	plugins bool
}

func newWalk(ctx context.Context, from fs.FS) *walk {
	return &walk{files: &files{ctx: ctx, from: from, read: map[string][]byte{}}, seen: map[seen]string{}, origins: origins{}, documents: map[string]yamldoc.Document{}}
}

// kustomization reads the one in a folder, and follows what it names; it returns the path of its file.
func (w *walk) kustomization(folder string, plugins bool) (string, error) {
	file, data, err := w.find(folder)
	if err != nil {
		return "", err
	}
	if _, ok := w.seen[seen{folder, plugins}]; ok {
		return file, nil
	}
	w.seen[seen{folder, plugins}] = file
	if len(w.seen) > maxFolders {
		return "", renderer.Refuse(file, 0, "the kustomization is built on more than %d folders", maxFolders)
	}
	if len(w.open) >= maxDepth {
		return "", renderer.Refuse(file, 0, "more than %d kustomizations are built on each other; does a symbolic link lead in a circle?", maxDepth)
	}
	documents, err := yamldoc.Parse(data)
	var mistake *yamldoc.Error
	if errors.As(err, &mistake) {
		return "", renderer.Refuse(file, mistake.Line, "%s", mistake.Message)
	}
	if err != nil || len(documents) != 1 {
		return "", renderer.Refuse(file, 0, "the file holds one kustomization")
	}
	object, ok := documents[0].Object()
	if !ok {
		return "", renderer.Refuse(file, documents[0].Line, "a kustomization is a mapping")
	}
	w.documents[file] = documents[0]
	w.open = append(w.open, folder)
	defer func() { w.open = w.open[:len(w.open)-1] }()
	return file, (&visit{walk: w, folder: folder, file: file, plugins: plugins, document: documents[0], object: object}).run()
}

// find the file of a folder; without one, none is named beside the error.
func (w *walk) find(folder string) (file string, data []byte, err error) {
	for _, name := range names {
		one := path.Join(folder, name)
		found, err := w.files.ReadFile(one)
		switch {
		case err == nil && file != "":
			return one, nil, renderer.Refuse(one, 0, "the folder has also %s; keep one of them", path.Base(file))
		case err == nil:
			file, data = one, found
		case !missing(err):
			return one, nil, renderer.Refuse(one, 0, "%v", err)
		}
	}
	if file == "" {
		return "", nil, renderer.Refuse(folder, 0, "the folder has no kustomization.yaml")
	}
	return file, data, nil
}

// visit is one kustomization.
type visit struct {
	walk         *walk
	folder, file string
	plugins      bool
	document     yamldoc.Document
	object       map[string]any
}

func (v *visit) refuse(at, format string, args ...any) error {
	return renderer.Refuse(v.file, v.document.LineOf(at), format, args...)
}

func (v *visit) run() error {
	for _, chart := range []string{"helmCharts", "helmChartInflationGenerator", "helmGlobals"} {
		if v.object[chart] != nil {
			return v.refuse(chart, "%s would fetch a chart and run helm; render the chart with a bundle of its own: source: {helm: {repository: ..., name: ..., version: ...}}", chart)
		}
	}
	if v.object["openapi"] != nil {
		v.walk.ownSchemas = true
	}
	for _, one := range deprecated {
		v.warn(one)
	}
	for _, one := range fields {
		if err := v.entries(one); err != nil {
			return err
		}
	}
	v.generated("configMapGenerator", "ConfigMap")
	v.generated("secretGenerator", "Secret")
	if err := refuseAddresses(v.file, v.document); err != nil || !v.plugins {
		return err
	}
	return v.patchesOfPlugins()
}

// patchesOfPlugins looks at what changes the configuration of plugins.
func (v *visit) patchesOfPlugins() error {
	return each(v.document.Value, "", "", func(key, at, text string) error {
		if key == "patch" {
			return checkPlugins(v.file, v.document.LineOfPointer(at), []byte(text))
		}
		if !pathKeys[key] || outside(v.folder, text) {
			return nil
		}
		file := path.Join(v.folder, text)
		if data, err := v.walk.files.ReadFile(file); err == nil {
			return checkPlugins(file, 1, data)
		}
		return nil
	})
}

func (v *visit) warn(one field) {
	if one.instead == "" || v.object[one.name] == nil {
		return
	}
	v.walk.warnings = append(v.walk.warnings, fmt.Sprintf("%s:%d: %s is deprecated; use %s", v.file, v.document.LineOf(one.name), one.name, one.instead))
}

func (v *visit) entries(one field) error {
	v.warn(one)
	entries, _ := v.object[one.name].([]any)
	for i, entry := range entries {
		at := fmt.Sprintf("%s[%d]", one.name, i)
		text, isText := entry.(string)
		if !isText {
			continue // the library names what is no text
		}
		if one.inline && (strings.Contains(text, "\n") || strings.HasPrefix(strings.TrimSpace(text), "{")) {
			if one.plugins {
				if err := checkPlugins(v.file, v.document.LineOf(at), []byte(text)); err != nil {
					return err
				}
			}
			continue
		}
		if err := v.entry(one, at, text); err != nil {
			return err
		}
	}
	return nil
}

// entry is a file or folder. What is not in the repository would be looked for on the network, so it must be there.
func (v *visit) entry(one field, at, text string) error {
	if why := remote(text); why != "" {
		return v.refuse(at, "%q %s; remote bases are not supported: copy it into the repository, or make it a bundle of its own", text, why)
	}
	if outside(v.folder, text) {
		return v.refuse(at, "%q leads out of the repository", text)
	}
	full := path.Join(v.folder, text)
	info, err := fs.Stat(v.walk.files.from, full)
	switch {
	case missing(err):
		return v.refuse(at, "%q is not in the repository", text)
	case err != nil:
		return v.refuse(at, "%v", err)
	case info.IsDir():
		for _, open := range v.walk.open {
			if full == "." || strings.HasPrefix(open+"/", full+"/") {
				return v.refuse(at, "%q is a cycle: it holds %s, which is built on this kustomization", text, open)
			}
		}
		return v.base(one, at, text, full)
	}
	return v.read(one, at, full)
}

// base is a folder that a kustomization is built on.
func (v *visit) base(one field, at, text, folder string) error {
	if file, _, err := v.walk.find(folder); err != nil && file == "" {
		return v.refuse(at, "%q has no kustomization.yaml", text)
	}
	file, err := v.walk.kustomization(folder, v.plugins || one.plugins)
	if err != nil {
		return err
	}
	object, _ := v.walk.documents[file].Object()
	switch component := object["kind"] == "Component"; {
	case component && one.name != "components":
		return v.refuse(at, "%q is a component; list it under components", text)
	case !component && one.name == "components":
		return v.refuse(at, "%q is no component; list it under resources", text)
	}
	return nil
}

func (v *visit) read(one field, at, file string) error {
	data, err := v.walk.files.ReadFile(file)
	if err != nil {
		return v.refuse(at, "%v", err)
	}
	if one.plugins || v.plugins {
		return checkPlugins(file, 1, data)
	}
	if one.objects {
		v.walk.note(file, data)
	}
	return nil
}

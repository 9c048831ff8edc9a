package helm

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/ignore"

	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// maxBytes bounds one chart.
const maxBytes = 64 << 20

// loaded is a chart as it was read. It is shared by renderings: each works on a copy.
type loaded struct {
	chart   *chart.Chart
	origin  origin
	schemas *schemas
	// whole says that templates use the list of API versions in another way than by Has.
	whole bool
	size  int
}

// folder of a chart: where it is read, and how its files are called.
type folder struct {
	files fs.FS
	// root in files; label is what errors call it, "" to take name@version of the chart itself.
	root, label string
	// packaged charts hold what they hold: .helmignore counted when they were made.
	packaged bool
}

// folderOf finds the chart of a request: fetched, or beside the bundle. A fetched one with a path is the one beside the
// bundle with its dependencies added.
func folderOf(request renderer.Request) folder {
	beside := path.Join(request.Dir, request.Path)
	switch {
	case request.Chart == nil:
		return folder{files: request.FS, root: beside, label: beside}
	case request.Path != "":
		return folder{files: request.Chart, root: ".", label: beside}
	default:
		return folder{files: request.Chart, root: ".", packaged: true}
	}
}

// load reads a chart's folder, as Helm does from disk: without what .helmignore names.
func load(ctx context.Context, from folder) (*loaded, error) {
	if _, err := fs.Stat(from.files, path.Join(from.root, "Chart.yaml")); errors.Is(err, fs.ErrNotExist) {
		return nil, renderer.Refuse(from.called(), 0, "there is no chart here: Chart.yaml is missing")
	}
	buffered, size, err := from.read(ctx)
	if err != nil {
		return nil, err
	}
	read, err := loader.LoadFiles(buffered)
	if err != nil {
		return nil, renderer.Refuse(path.Join(from.called(), "Chart.yaml"), 0, "%s", oneLine(err.Error()))
	}
	settle(read)
	out := &loaded{chart: read, schemas: &schemas{}, size: size, origin: origin{root: from.label, name: read.Name()}}
	if from.label == "" {
		out.origin.root = read.Name() + "@" + read.Metadata.Version
	}
	if strings.EqualFold(read.Metadata.Type, "library") {
		return nil, renderer.Refuse(path.Join(out.origin.root, "Chart.yaml"), 0, "a library chart has no objects of its own: name the chart that uses it")
	}
	out.whole = usesWholeList(read)
	return out, checkDependencies(read, out.origin.root)
}

func (f folder) called() string {
	if f.label != "" {
		return f.label
	}
	return "the fetched chart"
}

func (f folder) name(file string) string {
	if f.label == "" || f.root == f.label {
		return file
	}
	return path.Join(f.label, file)
}

func (f folder) read(ctx context.Context) (buffered []*archive.BufferedFile, size int, err error) {
	rules := ignore.Empty()
	if !f.packaged {
		if rules, err = f.ignoreRules(); err != nil {
			return nil, 0, err
		}
	}
	walk := walk{folder: f, rules: rules}
	err = walk.into(ctx, f.root, "", 0)
	return walk.found, walk.size, err
}

// walk collects a chart's files. It follows symbolic links, as Helm does; a repository's lead nowhere out of it.
type walk struct {
	folder
	rules *ignore.Rules
	found []*archive.BufferedFile
	size  int
}

// maxNesting ends a walk in links that lead to each other.
const maxNesting = 40

func (w *walk) into(ctx context.Context, folder, relative string, depth int) error {
	if depth > maxNesting {
		return renderer.Refuse(w.name(folder), 0, "the folders are nested more than %d times; is there a symbolic link to a folder above it?", maxNesting)
	}
	entries, err := fs.ReadDir(w.files, folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		file, name := path.Join(folder, entry.Name()), path.Join(relative, entry.Name())
		info, err := fs.Stat(w.files, file)
		switch {
		case err != nil:
		case w.rules.Ignore(name, info):
		case info.IsDir():
			err = w.into(ctx, file, name, depth+1)
		default:
			err = w.add(file, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) add(file, name string) error {
	data, err := fs.ReadFile(w.files, file)
	if err != nil {
		return err
	}
	if w.size += len(data); w.size > maxBytes {
		return renderer.Refuse(w.called(), 0, "the chart is larger than %d bytes", maxBytes)
	}
	w.found = append(w.found, &archive.BufferedFile{Name: name, Data: bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))})
	return nil
}

func (f folder) ignoreRules() (*ignore.Rules, error) {
	rules := ignore.Empty()
	file := path.Join(f.root, ignore.HelmIgnore)
	data, err := fs.ReadFile(f.files, file)
	if err == nil {
		if rules, err = ignore.Parse(bytes.NewReader(data)); err != nil {
			return nil, renderer.Refuse(f.name(file), 0, "%v", err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	rules.AddDefaults()
	return rules, nil
}

// settle puts dependencies in order of name and version: Helm reads them in any order, and takes the first that fits.
func settle(one *chart.Chart) {
	dependencies := slices.Clone(one.Dependencies())
	slices.SortStableFunc(dependencies, func(a, b *chart.Chart) int {
		return strings.Compare(a.Name()+" "+a.Metadata.Version, b.Name()+" "+b.Metadata.Version)
	})
	one.SetDependencies(dependencies...)
	one.Raw = nil
	for _, dependency := range dependencies {
		settle(dependency)
	}
}

func usesWholeList(one *chart.Chart) bool {
	for _, template := range one.Templates {
		if readsWholeList(string(template.Data)) {
			return true
		}
	}
	return slices.ContainsFunc(one.Dependencies(), usesWholeList)
}

// clone copies what a rendering changes in a chart: the tree of its dependencies and their metadata. Values are copied by
// Helm before it writes; files are never written.
func clone(one *chart.Chart) *chart.Chart {
	out := *one
	metadata := *one.Metadata
	metadata.Dependencies = slices.Clone(one.Metadata.Dependencies)
	for i, dependency := range metadata.Dependencies {
		if dependency != nil {
			copied := *dependency
			metadata.Dependencies[i] = &copied
		}
	}
	out.Metadata = &metadata
	var dependencies []*chart.Chart
	for _, dependency := range one.Dependencies() {
		dependencies = append(dependencies, clone(dependency))
	}
	out.SetDependencies(dependencies...)
	return &out
}

// checkDependencies makes sure that every declared dependency is beside the chart: a renderer downloads nothing.
func checkDependencies(read *chart.Chart, root string) error {
	have := map[string]bool{}
	for _, dependency := range read.Dependencies() {
		have[dependency.Name()] = true
	}
	for _, dependency := range read.Metadata.Dependencies {
		if dependency != nil && !have[dependency.Name] {
			return renderer.Refuse(path.Join(root, "Chart.yaml"), 0, "dependency %q is not in charts/: run `helm dependency update` and commit charts/", dependency.Name)
		}
	}
	return nil
}

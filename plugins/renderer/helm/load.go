package helm

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/ignore"

	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// maxBytes bounds one chart.
const maxBytes = 64 << 20

// load reads a chart's folder, as Helm does from disk: without what .helmignore names.
func load(ctx context.Context, files fs.FS, root string) (*chart.Chart, error) {
	if _, err := fs.Stat(files, path.Join(root, "Chart.yaml")); errors.Is(err, fs.ErrNotExist) {
		return nil, renderer.Refuse(root, 0, "there is no chart here: Chart.yaml is missing")
	}
	rules, err := ignoreRules(files, root)
	if err != nil {
		return nil, err
	}
	var buffered []*archive.BufferedFile
	size := 0
	err = fs.WalkDir(files, root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil || file == root {
			return errors.Join(err, ctx.Err())
		}
		info, err := fs.Stat(files, file)
		if err != nil {
			return err
		}
		relative := strings.TrimPrefix(file, root+"/")
		if rules.Ignore(relative, info) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entry.IsDir() {
			return nil
		}
		if info.IsDir() {
			return renderer.Refuse(file, 0, "a symbolic link to a folder is not followed")
		}
		data, err := fs.ReadFile(files, file)
		if err != nil {
			return err
		}
		if size += len(data); size > maxBytes {
			return renderer.Refuse(root, 0, "the chart is larger than %d bytes", maxBytes)
		}
		buffered = append(buffered, &archive.BufferedFile{Name: relative, Data: bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))})
		return nil
	})
	if err != nil {
		return nil, err
	}
	loaded, err := loader.LoadFiles(buffered)
	if err != nil {
		return nil, renderer.Refuse(path.Join(root, "Chart.yaml"), 0, "%s", oneLine(err))
	}
	return loaded, checkDependencies(loaded, root)
}

func ignoreRules(files fs.FS, root string) (*ignore.Rules, error) {
	rules := ignore.Empty()
	data, err := fs.ReadFile(files, path.Join(root, ignore.HelmIgnore))
	if err == nil {
		if rules, err = ignore.Parse(bytes.NewReader(data)); err != nil {
			return nil, renderer.Refuse(path.Join(root, ignore.HelmIgnore), 0, "%v", err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	rules.AddDefaults()
	return rules, nil
}

// checkDependencies makes sure that every declared dependency is beside the chart: nothing is downloaded.
func checkDependencies(loaded *chart.Chart, root string) error {
	have := map[string]bool{}
	for _, dependency := range loaded.Dependencies() {
		have[dependency.Name()] = true
	}
	for _, dependency := range loaded.Metadata.Dependencies {
		if !have[dependency.Name] {
			return renderer.Refuse(path.Join(root, "Chart.yaml"), 0, "dependency %q is not in charts/: run `helm dependency update` and commit charts/", dependency.Name)
		}
	}
	return nil
}

// layer puts the values files over each other, and the request's values over all.
func layer(request renderer.Request) (map[string]any, error) {
	values := map[string]any{}
	for _, name := range request.ValuesFiles {
		file := path.Join(request.Dir, name)
		data, err := fs.ReadFile(request.FS, file)
		if err != nil {
			return nil, renderer.Refuse(file, 0, "the values file cannot be read: %v", err)
		}
		documents, err := yamldoc.Parse(data)
		var mistake *yamldoc.Error
		if errors.As(err, &mistake) {
			return nil, renderer.Refuse(file, mistake.Line, "%s", mistake.Message)
		}
		if len(documents) == 0 {
			continue
		}
		object, ok := documents[0].Object()
		if !ok || len(documents) > 1 {
			return nil, renderer.Refuse(file, 0, "a values file holds one mapping")
		}
		if _, sealed := object["sops"]; sealed {
			return nil, renderer.Refuse(file, documents[0].LineOf("sops"), "SOPS-encrypted files are not supported in this version")
		}
		overlay(values, object)
	}
	overlay(values, request.Values)
	return values, nil
}

// overlay merges maps and replaces everything else; nulls stay, as they unset a chart's default. Maps are copied where they
// are merged, since the engine writes into what it gets.
func overlay(base, over map[string]any) {
	for key, value := range over {
		upper, isMap := value.(map[string]any)
		if !isMap {
			base[key] = value
			continue
		}
		lower, ok := base[key].(map[string]any)
		if !ok {
			lower = map[string]any{}
			base[key] = lower
		}
		overlay(lower, upper)
	}
}

// refuseRemoteSchemas finds references that validation would fetch.
func refuseRemoteSchemas(loaded *chart.Chart, root string) error {
	if schema := string(loaded.Schema); schema != "" {
		for _, part := range strings.Split(schema, `"$ref"`)[1:] {
			part = strings.TrimLeft(part, " \t\r\n:")
			if strings.HasPrefix(part, `"http:`) || strings.HasPrefix(part, `"https:`) {
				return renderer.Refuse(path.Join(root, "values.schema.json"), 0, "a reference to another server is not supported")
			}
		}
	}
	for _, dependency := range loaded.Dependencies() {
		if err := refuseRemoteSchemas(dependency, path.Join(root, "charts", dependency.Name())); err != nil {
			return err
		}
	}
	return nil
}

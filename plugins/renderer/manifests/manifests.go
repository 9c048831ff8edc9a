// Package manifests renders plain YAML and JSON files: every manifest beside bundle.yaml, and in the folders below it.
package manifests

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// BundleFile declares the bundle and is no manifest.
const BundleFile = "bundle.yaml"

// Renderer of plain manifests.
type Renderer struct{}

// Name of the renderer.
func (Renderer) Name() string { return "manifests" }

// Version changes when the same files give other objects.
func (Renderer) Version() string { return "3" }

// TakesValues is false: plain files have no inputs.
func (Renderer) TakesValues() bool { return false }

// Render reads the manifests in the order of their paths.
func (Renderer) Render(ctx context.Context, request renderer.Request) (renderer.Result, error) {
	root := path.Join(request.Dir, request.Path)
	patterns, err := readIgnore(request.FS, root)
	if err != nil {
		return renderer.Result{}, err
	}
	var result renderer.Result
	err = fs.WalkDir(request.FS, root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if file == root {
			return nil
		}
		relative := strings.TrimPrefix(file, root+"/")
		ignored := patterns.match(relative, entry.IsDir())
		switch {
		case ignored && entry.IsDir():
			return fs.SkipDir
		case ignored || entry.IsDir() && !strings.HasPrefix(entry.Name(), "."):
			return nil
		case entry.IsDir():
			return fs.SkipDir
		case !isManifest(relative):
			return refuseFolder(request.FS, file, entry)
		}
		objects, err := readFile(request.FS, file)
		result.Objects = append(result.Objects, objects...)
		return err
	})
	return result, err
}

func readIgnore(files fs.FS, root string) (ignore, error) {
	file := path.Join(root, IgnoreFile)
	data, err := fs.ReadFile(files, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	patterns, line, err := parseIgnore(string(data))
	if err != nil {
		return nil, renderer.Refuse(file, line, "%v", err)
	}
	return patterns, nil
}

func isManifest(relative string) bool {
	if relative == BundleFile || strings.HasPrefix(path.Base(relative), ".") {
		return false
	}
	switch path.Ext(relative) {
	case ".yaml", ".yml", ".json":
		return true
	default:
		return false
	}
}

// refuseFolder names what looks like a file here and is a folder for its author: a link to one, or a submodule. Everything
// else that is no manifest is left alone.
func refuseFolder(files fs.FS, file string, entry fs.DirEntry) error {
	if entry.Type()&(fs.ModeSymlink|fs.ModeIrregular) == 0 {
		return nil
	}
	info, err := fs.Stat(files, file)
	if err == nil && info.IsDir() {
		return renderer.Refuse(file, 0, "a symbolic link to a folder is not followed; put the manifests into the bundle's folder or use kustomize")
	}
	return err
}

func readFile(files fs.FS, file string) ([]renderer.Object, error) {
	data, err := fs.ReadFile(files, file)
	if err != nil {
		return nil, err
	}
	return Decode(file, data)
}

// Decode reads the objects of one file; a List gives its items.
func Decode(file string, data []byte) ([]renderer.Object, error) {
	reader := reader{file: file, data: data}
	err := yamldoc.Each(data, func(document yamldoc.Document) error {
		return reader.expand(document, document.Value, "")
	})
	var mistake *yamldoc.Error
	if errors.As(err, &mistake) {
		return nil, renderer.Refuse(file, mistake.Line, "%s", mistake.Message)
	}
	return reader.objects, err
}

// Package kustomize renders kustomizations with the library behind kubectl, over a copy in memory of the folders that they
// name. Nothing outside the repository is loaded, nothing is executed, and there is no network: what would need one of
// these is refused by name before the library sees it.
package kustomize

import (
	"context"
	"path"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"

	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// originAnnotation is where the library says which file an object came from; it is taken off again.
const originAnnotation = "config.kubernetes.io/origin"

// library guards the library's process-wide table of schemas.
var library sync.Mutex

// Renderer of kustomizations.
type Renderer struct{}

// Name of the renderer.
func (Renderer) Name() string { return "kustomize" }

// Version changes when the same files may give other objects: with the library.
func (Renderer) Version() string { return "api-0.21.1" }

// TakesValues is false: a kustomization has no inputs.
func (Renderer) TakesValues() bool { return false }

// Render builds the kustomization at request.Path.
func (Renderer) Render(ctx context.Context, request renderer.Request) (renderer.Result, error) {
	root := path.Join(request.Dir, request.Path)
	load := &loading{ctx: ctx, from: request.FS, to: newMemory(), seen: map[string]bool{}}
	main, err := load.kustomization(root)
	if err != nil {
		return renderer.Result{}, err
	}
	if err := load.askForOrigins(main); err != nil {
		return renderer.Result{}, err
	}
	library.Lock()
	defer library.Unlock()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(load.to, "/"+root)
	if err != nil {
		return renderer.Result{}, renderer.Refuse(main, 0, "%s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	var result renderer.Result
	for _, one := range resources.Resources() {
		object, err := toObject(one, root, main)
		if err != nil {
			return renderer.Result{}, err
		}
		result.Objects = append(result.Objects, object)
	}
	return result, nil
}

func toObject(one *resource.Resource, root, main string) (renderer.Object, error) {
	source := main
	if origin, err := one.GetOrigin(); err == nil && origin != nil {
		switch {
		case origin.Path != "":
			source = path.Join(root, origin.Path)
		case origin.ConfiguredIn != "":
			source = path.Join(root, origin.ConfiguredIn)
		}
	}
	data, err := one.MarshalJSON()
	if err != nil {
		return renderer.Object{}, renderer.Refuse(source, 0, "%v", err)
	}
	value, err := yamldoc.ObjectFromJSON(data)
	if err != nil {
		return renderer.Object{}, renderer.Refuse(source, 0, "%v", err)
	}
	dropOrigin(value)
	return renderer.Object{Value: value, Source: source}, nil
}

func dropOrigin(value map[string]any) {
	metadata, _ := value["metadata"].(map[string]any)
	annotations, ok := metadata["annotations"].(map[string]any)
	if !ok {
		return
	}
	delete(annotations, originAnnotation)
	if len(annotations) == 0 {
		delete(metadata, "annotations")
	}
}

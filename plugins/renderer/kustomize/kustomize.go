// Package kustomize renders kustomizations with the library behind kubectl, straight from the repository's files. Nothing
// outside the repository is loaded, nothing is executed, and there is no network: what would need one of these is refused by
// file and line before the library sees it.
package kustomize

import (
	"context"
	"fmt"
	"path"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/provenance"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"

	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// release of the kustomize command that the library belongs to: objects are labelled with it where a kustomization asks for
// managedByLabel. The library looks for it in the process, and finds ours.
const (
	release        = "v5.8.1"
	managedByLabel = "app.kubernetes.io/managed-by"
)

// Renderer of kustomizations.
type Renderer struct{}

// Name of the renderer.
func (Renderer) Name() string { return "kustomize" }

// Version changes when the same files may give other objects: with the library.
func (Renderer) Version() string { return "api-0.21.1-1" }

// TakesValues is false: a kustomization has no inputs.
func (Renderer) TakesValues() bool { return false }

// Render builds the kustomization at request.Path.
func (Renderer) Render(ctx context.Context, request renderer.Request) (renderer.Result, error) {
	root := path.Join(request.Dir, request.Path)
	walk := newWalk(ctx, request.FS)
	main, err := walk.kustomization(root, false)
	if err != nil {
		return renderer.Result{}, err
	}
	resources, err := walk.build(root)
	if err != nil {
		return renderer.Result{}, walk.explain(root, main, err)
	}
	result := renderer.Result{Warnings: walk.warnings}
	for _, one := range resources.Resources() {
		object, err := walk.object(one, main)
		if err != nil {
			return renderer.Result{}, err
		}
		result.Objects = append(result.Objects, object)
	}
	return result, nil
}

// build runs the library. Builds run side by side, except those that bring schemas of their own. The library panics on some
// mistakes, such as schemas that are none.
func (w *walk) build(root string) (built resmap.ResMap, err error) {
	done := useSchemas(w.ownSchemas)
	defer done()
	defer func() {
		if caught := recover(); caught != nil {
			built, err = nil, fmt.Errorf("the build failed: %v", caught)
		}
	}()
	options := krusty.MakeDefaultOptions()
	// As the command does: in the legacy order, unless the kustomization has sortOptions.
	options.Reorder = krusty.ReorderOptionUnspecified
	return krusty.MakeKustomizer(options).Run(w.files, "/"+root)
}

func (w *walk) object(one *resource.Resource, main string) (renderer.Object, error) {
	source := w.origins.find(one.GetGvk().Group, one.GetKind(), one.GetName(), main)
	data, err := one.MarshalJSON()
	if err != nil {
		return renderer.Object{}, refuseSource(source, err)
	}
	value, err := yamldoc.ObjectFromJSON(data)
	if err != nil {
		return renderer.Object{}, refuseSource(source, err)
	}
	if labels, ok := at(value, "metadata", "labels"); ok && labels[managedByLabel] == "kustomize-"+provenance.GetProvenance().Semver() {
		labels[managedByLabel] = "kustomize-" + release
	}
	return renderer.Object{Value: value, Source: source}, nil
}

// at is a mapping below others.
func at(value map[string]any, path ...string) (map[string]any, bool) {
	for _, key := range path {
		below, ok := value[key].(map[string]any)
		if !ok {
			return nil, false
		}
		value = below
	}
	return value, true
}

func refuseSource(source string, err error) error { return renderer.Refuse(source, 0, "%v", err) }

// Command environment is a renderer plugin: from apps.yaml, which says what runs with which variables, it makes a
// ConfigMap and a Deployment for each app.
package main

import (
	"context"
	"io/fs"
	"maps"
	"path"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/plugins/sdk"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

func main() { sdk.Serve(sdk.Renderer(environment{})) }

type environment struct{}

func (environment) Name() string      { return "environment" }
func (environment) Version() string   { return "1.0.0" }
func (environment) TakesValues() bool { return true }

// Render reads apps: {NAME: {image, replicas, env: {KEY: value}}}. Values add apps, or replace those of the same name.
func (environment) Render(_ context.Context, request renderer.Request) (result renderer.Result, err error) {
	file := path.Join(request.Dir, request.Path, "apps.yaml")
	data, err := fs.ReadFile(request.FS, file)
	if err != nil {
		return renderer.Result{}, renderer.Refuse(file, 0, "cannot read it: %v", err)
	}
	var declared struct{ Apps map[string]app }
	err = yaml.UnmarshalStrict(data, &declared)
	if values, _ := yaml.Marshal(request.Values); err == nil && len(request.Values) > 0 {
		err = yaml.UnmarshalStrict(values, &declared.Apps)
	}
	if err != nil {
		return renderer.Result{}, renderer.Refuse(file, 0, "%v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(declared.Apps)) {
		one, labels, env := declared.Apps[name], map[string]any{"app": name}, map[string]any{}
		for key, value := range one.Env {
			env[key] = value
		}
		container := map[string]any{"name": name, "image": one.Image, "envFrom": []any{map[string]any{"configMapRef": map[string]any{"name": name}}}}
		pod := map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": []any{container}}}
		result.Objects = append(result.Objects,
			renderer.Object{Source: file, Value: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name}, "data": env}},
			renderer.Object{Source: file, Value: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": name},
				"spec": map[string]any{"replicas": one.Replicas, "selector": map[string]any{"matchLabels": labels}, "template": pod}}})
	}
	return result, nil
}

type app struct {
	Image    string
	Replicas int64
	Env      map[string]string
}

package plugins

import (
	"fmt"
	"strings"

	"github.com/periplus-fleet/periplus/plugins/renderer/helm"
	"github.com/periplus-fleet/periplus/plugins/renderer/jsonnet"
	"github.com/periplus-fleet/periplus/plugins/renderer/kustomize"
	"github.com/periplus-fleet/periplus/plugins/sdk"
)

// BuiltInPlugin comes with the hub and runs as any other: as a process of its own.
type BuiltInPlugin struct {
	Name, Type string
	// Always starts it without a declaration; others need a configuration.
	Always  bool
	service func() sdk.Service
}

// BuiltIn plugins.
func BuiltIn() []BuiltInPlugin {
	return []BuiltInPlugin{
		{Name: "helm", Type: "renderer", Always: true, service: func() sdk.Service { return sdk.Renderer(helm.New()) }},
		{Name: "kustomize", Type: "renderer", Always: true, service: func() sdk.Service { return sdk.Renderer(kustomize.Renderer{}) }},
		{Name: "jsonnet", Type: "renderer", Always: true, service: func() sdk.Service { return sdk.Renderer(jsonnet.New()) }},
	}
}

// Serve is the process of a built-in plugin; it returns when the host is done with it.
func Serve(name string) error {
	var names []string
	for _, one := range BuiltIn() {
		if one.Name == name {
			sdk.Serve(one.service())
			return nil
		}
		names = append(names, one.Name)
	}
	return fmt.Errorf("cannot serve the plugin %q: the built-in ones are %s", name, strings.Join(names, ", "))
}

package plugins

import (
	"fmt"
	"strings"

	"github.com/periplus-fleet/periplus/plugins/decrypter/sops"
	"github.com/periplus-fleet/periplus/plugins/renderer/helm"
	"github.com/periplus-fleet/periplus/plugins/renderer/jsonnet"
	"github.com/periplus-fleet/periplus/plugins/renderer/kustomize"
	"github.com/periplus-fleet/periplus/plugins/sdk"
	"github.com/periplus-fleet/periplus/plugins/sdk/decrypter"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// BuiltInPlugin comes with the hub and runs as any other: as a process of its own.
type BuiltInPlugin struct {
	Name, Type string
	// Always starts it without a declaration; others need a configuration.
	Always bool
	// renderer that it is, or decrypter.
	renderer  func() renderer.Renderer
	decrypter func() decrypter.Decrypter
}

// BuiltIn plugins.
func BuiltIn() []BuiltInPlugin {
	return []BuiltInPlugin{
		{Name: "helm", Type: "renderer", Always: true, renderer: func() renderer.Renderer { return helm.New() }},
		{Name: "kustomize", Type: "renderer", Always: true, renderer: func() renderer.Renderer { return kustomize.Renderer{} }},
		{Name: "jsonnet", Type: "renderer", Always: true, renderer: func() renderer.Renderer { return jsonnet.New() }},
		{Name: "sops", Type: "decrypter", decrypter: func() decrypter.Decrypter { return sops.New() }},
	}
}

// Serve is the process of a built-in plugin; it returns when the host is done with it.
func Serve(name string) error {
	var names []string
	for _, one := range BuiltIn() {
		if one.Name == name && one.renderer != nil {
			sdk.Serve(sdk.Renderer(one.renderer()))
			return nil
		}
		if one.Name == name {
			sdk.Serve(sdk.Decrypter(one.decrypter()))
			return nil
		}
		names = append(names, one.Name)
	}
	return fmt.Errorf("cannot serve the plugin %q: the built-in ones are %s", name, strings.Join(names, ", "))
}

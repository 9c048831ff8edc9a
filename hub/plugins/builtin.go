package plugins

import (
	"fmt"
	"strings"

	"github.com/periplus-fleet/periplus/plugins/decrypter/sops"
	"github.com/periplus-fleet/periplus/plugins/host/jail"
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
	// reads are files that its configuration names.
	reads func(config map[string]any) []string
}

// BuiltIn plugins.
func BuiltIn() []BuiltInPlugin {
	return []BuiltInPlugin{
		{Name: "helm", Type: "renderer", Always: true, renderer: func() renderer.Renderer { return helm.New() }},
		{Name: "kustomize", Type: "renderer", Always: true, renderer: func() renderer.Renderer { return kustomize.Renderer{} }},
		{Name: "jsonnet", Type: "renderer", Always: true, renderer: func() renderer.Renderer { return jsonnet.New() }},
		{Name: "sops", Type: "decrypter", decrypter: func() decrypter.Decrypter { return sops.New() }, reads: sops.Reads},
	}
}

// jailName is how the process is called that confines itself before it becomes a plugin.
const jailName = "jail"

// Serve is the process of a built-in plugin, which returns when the host is done with it, or a jail of the argument.
func Serve(name string, arguments ...string) error {
	if name == jailName && len(arguments) == 1 {
		return jail.Enter(arguments[0])
	}
	var names []string
	for _, one := range BuiltIn() {
		names = append(names, one.Name)
		if one.Name != name {
			continue
		}
		if one.renderer != nil {
			sdk.Serve(sdk.Renderer(one.renderer()))
		} else {
			sdk.Serve(sdk.Decrypter(one.decrypter()))
		}
		return nil
	}
	return fmt.Errorf("cannot serve the plugin %q: the built-in ones are %s", name, strings.Join(names, ", "))
}

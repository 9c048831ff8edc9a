package importer

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// Render runs one of the hub's renderers, for what must be known before it can be translated: which applications a chart of
// applications holds, which releases an overlay patches.
func Render(ctx context.Context, name string, request renderer.Request) ([]renderer.Object, error) {
	for _, one := range render.Builtin() {
		if one.Name() == name {
			result, err := one.Render(ctx, request)
			return result.Objects, err
		}
	}
	return nil, fmt.Errorf("there is no renderer %q", name)
}

// Kustomize builds a folder.
func Kustomize(ctx context.Context, files fs.FS, folder string) ([]renderer.Object, error) {
	return Render(ctx, "kustomize", renderer.Request{FS: files, Dir: folder})
}

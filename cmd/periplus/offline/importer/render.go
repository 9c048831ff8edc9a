package importer

import (
	"context"
	"io/fs"

	"github.com/periplus-fleet/periplus/plugins/renderer/helm"
	"github.com/periplus-fleet/periplus/plugins/renderer/kustomize"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// kubeVersion that charts see while they are read; what they render for a cluster is the hub's to say.
const kubeVersion = "v1.36.0"

// Kustomize builds a folder, for what must be known before it can be translated: which releases an overlay patches.
func Kustomize(ctx context.Context, files fs.FS, folder string) ([]renderer.Object, error) {
	result, err := kustomize.Renderer{}.Render(ctx, renderer.Request{FS: files, Dir: folder})
	return result.Objects, err
}

// Helm renders a chart: which applications a chart of applications holds.
func Helm(ctx context.Context, files fs.FS, folder, release, namespace string, values map[string]any) ([]renderer.Object, error) {
	result, err := helm.New().Render(ctx, renderer.Request{FS: files, Dir: folder, ReleaseName: release, Namespace: namespace, Values: values,
		Capabilities: renderer.Capabilities{KubeVersion: kubeVersion}})
	return result.Objects, err
}

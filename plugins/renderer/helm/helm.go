// Package helm renders charts with Helm's own engine, as `helm template` would: values by schema, CRDs as objects, no
// cluster to look anything up in, no network. Hooks are refused, since what runs before and after an install has no place
// in a desired state without rules of its own.
package helm

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"

	"github.com/periplus-fleet/periplus/plugins/renderer/manifests"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

const hookAnnotation = "helm.sh/hook"

// Renderer of charts.
type Renderer struct{}

// Name of the renderer.
func (Renderer) Name() string { return "helm" }

// Version changes when the same chart may give other objects: with the library.
func (Renderer) Version() string { return "v4.2.4" }

// TakesValues is true.
func (Renderer) TakesValues() bool { return true }

// Render renders the chart at request.Path.
func (Renderer) Render(ctx context.Context, request renderer.Request) (renderer.Result, error) {
	root := path.Join(request.Dir, request.Path)
	loaded, err := load(ctx, request.FS, root)
	if err != nil {
		return renderer.Result{}, err
	}
	values, err := layer(request)
	if err != nil {
		return renderer.Result{}, err
	}
	files, err := execute(loaded, values, request, root)
	if err != nil {
		return renderer.Result{}, err
	}
	var result renderer.Result
	for _, crd := range loaded.CRDObjects() {
		objects, err := decode(root, loaded.Name(), crd.Filename, string(crd.File.Data))
		if err != nil {
			return renderer.Result{}, err
		}
		result.Objects = append(result.Objects, objects...)
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if strings.HasSuffix(name, "NOTES.txt") || strings.HasPrefix(path.Base(name), "_") {
			continue
		}
		objects, err := decode(root, loaded.Name(), name, files[name])
		if err != nil {
			return renderer.Result{}, err
		}
		result.Objects = append(result.Objects, objects...)
	}
	return result, nil
}

func execute(loaded *chart.Chart, values map[string]any, request renderer.Request, root string) (map[string]string, error) {
	chartFile := path.Join(root, "Chart.yaml")
	capabilities, err := capabilities(request.Capabilities)
	if err != nil {
		return nil, err
	}
	if need := loaded.Metadata.KubeVersion; need != "" && !chartutil.IsCompatibleRange(need, capabilities.KubeVersion.String()) {
		return nil, renderer.Refuse(chartFile, 0, "the chart needs Kubernetes %s, the cluster has %s", need, capabilities.KubeVersion.Version)
	}
	if err := chartutil.ProcessDependencies(loaded, values); err != nil {
		return nil, renderer.Refuse(chartFile, 0, "%v", err)
	}
	namespace := request.Namespace
	if namespace == "" {
		namespace = "default"
	}
	if err := refuseRemoteSchemas(loaded, root); err != nil {
		return nil, err
	}
	inputs, err := util.ToRenderValues(loaded, values, common.ReleaseOptions{Name: request.ReleaseName, Namespace: namespace,
		Revision: 1, IsInstall: true}, capabilities)
	if err != nil {
		return nil, renderer.Refuse(chartFile, 0, "%s", oneLine(err))
	}
	files, err := engine.Engine{}.Render(loaded, inputs)
	if err != nil {
		return nil, renderer.Refuse(chartFile, 0, "%s", oneLine(err))
	}
	return files, nil
}

// capabilities are the same for every cluster of one declared version: what a chart renders must not depend on the moment.
func capabilities(given renderer.Capabilities) (*common.Capabilities, error) {
	version, err := common.ParseKubeVersion(given.KubeVersion)
	if err != nil {
		return nil, fmt.Errorf("cannot read the cluster's version %q: %w", given.KubeVersion, err)
	}
	out := common.DefaultCapabilities.Copy()
	out.KubeVersion = *version
	return out, nil
}

// decode reads one rendered file. Its lines are those of the output, so only the template is named.
func decode(root, chartName, name, text string) ([]renderer.Object, error) {
	source := path.Join(root, strings.TrimPrefix(name, chartName+"/"))
	objects, err := manifests.Decode(source, []byte(text))
	if err != nil {
		var mistake *renderer.Error
		if errors.As(err, &mistake) {
			return nil, renderer.Refuse(source, 0, "line %d of its output: %s", mistake.Line, mistake.Message)
		}
		return nil, err
	}
	for i := range objects {
		objects[i].Source = source
		if hook := hookOf(objects[i].Value); hook != "" {
			return nil, renderer.Refuse(source, 0, "Helm hooks are not supported in this version (annotation %s: %s)", hookAnnotation, hook)
		}
	}
	return slices.DeleteFunc(objects, func(o renderer.Object) bool { return len(o.Value) == 0 }), nil
}

func hookOf(value map[string]any) string {
	metadata, _ := value["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	if hook, ok := annotations[hookAnnotation]; ok {
		return fmt.Sprint(hook)
	}
	return ""
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

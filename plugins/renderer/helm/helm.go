// Package helm renders charts with Helm's own engine, as `helm template` would: dependencies by condition, tag and alias,
// values by schema, CRDs and hooks, no cluster to look anything up in and no network. What a chart asks of its cluster's
// capabilities is recorded, so that clusters which do not differ in it share the output.
package helm

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"

	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// Renderer of charts. It keeps those that it read.
type Renderer struct {
	charts    *charts
	documents documents
}

// New makes a renderer.
func New() *Renderer {
	return &Renderer{charts: &charts{kept: newLRU[*loaded](chartBytes)}, documents: newDocuments()}
}

// Name of the renderer.
func (*Renderer) Name() string { return "helm" }

// Version changes when the same chart may give other objects: with the library, and with what we make of its output.
func (*Renderer) Version() string { return helmVersion + "-2" }

// TakesValues is true.
func (*Renderer) TakesValues() bool { return true }

// options of bundle.yaml besides values.
type options struct{ skipCRDs, tests bool }

func readConfig(config map[string]any) (options, error) {
	var out options
	for key, into := range map[string]*bool{"skipCRDs": &out.skipCRDs, "tests": &out.tests} {
		switch value := config[key].(type) {
		case nil:
		case bool:
			*into = value
		default:
			return out, fmt.Errorf("cannot use option %q: it is true or false, not %v", key, value)
		}
	}
	return out, nil
}

// Render renders the chart of the request.
func (r *Renderer) Render(ctx context.Context, request renderer.Request) (renderer.Result, error) {
	options, err := readConfig(request.Config)
	if err != nil {
		return renderer.Result{}, err
	}
	shared, err := r.charts.get(ctx, request)
	if err != nil {
		return renderer.Result{}, err
	}
	values, warnings, err := layer(request)
	if err != nil {
		return renderer.Result{}, err
	}
	capabilities, err := newCapabilities(request.Capabilities, shared.whole)
	if err != nil {
		return renderer.Result{}, err
	}
	own := clone(shared.chart)
	files, err := execute(own, shared, values, request, capabilities)
	if err != nil {
		return renderer.Result{}, err
	}
	out := output{documents: r.documents, tests: options.tests}
	out.result.Warnings = warnings
	if own.Metadata.Deprecated {
		out.result.Warnings = append(out.result.Warnings, fmt.Sprintf("chart %q is deprecated by its authors", own.Name()))
	}
	if !options.skipCRDs {
		if err := out.addCRDs(own, shared.origin); err != nil {
			return renderer.Result{}, err
		}
	}
	for _, name := range templates(files) {
		if err := out.add(shared.origin.file(name), files[name], true); err != nil {
			return renderer.Result{}, err
		}
	}
	out.result.Used = capabilities.Asked.used()
	return out.result, nil
}

// templates whose output is applied, in order.
func templates(files map[string]string) []string {
	var names []string
	for name := range files {
		if !strings.HasSuffix(name, "NOTES.txt") && !strings.HasPrefix(path.Base(name), "_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// addCRDs adds what stands in crds/ of the chart and of the dependencies that are enabled. A dependency under two names has
// its CRDs once.
func (o *output) addCRDs(own *chart.Chart, origin origin) error {
	var seen [][]byte
	for _, crd := range own.CRDObjects() {
		if slices.ContainsFunc(seen, func(data []byte) bool { return bytes.Equal(data, crd.File.Data) }) {
			continue
		}
		seen = append(seen, crd.File.Data)
		if err := o.add(origin.file(crd.Filename), string(crd.File.Data), false); err != nil {
			return err
		}
	}
	return nil
}

func execute(own *chart.Chart, shared *loaded, values map[string]any, request renderer.Request, capabilities *capabilities) (map[string]string, error) {
	chartFile := path.Join(shared.origin.root, "Chart.yaml")
	if need := own.Metadata.KubeVersion; need != "" {
		if version := capabilities.KubeVersion(); !chartutil.IsCompatibleRange(need, version.String()) {
			return nil, renderer.Refuse(chartFile, 0, "kubeVersion: the chart needs Kubernetes %s, the cluster has %s", need, version.Version)
		}
	}
	if err := chartutil.ProcessDependencies(own, values); err != nil {
		return nil, renderer.Refuse(chartFile, 0, "dependencies: %s", oneLine(err.Error()))
	}
	namespace := request.Namespace
	if namespace == "" {
		namespace = "default"
	}
	inputs, err := util.ToRenderValuesWithSchemaValidation(own, values, common.ReleaseOptions{Name: request.ReleaseName, Namespace: namespace,
		Revision: 1, IsInstall: true}, capabilities.Real, true)
	if err != nil {
		return nil, renderer.Refuse(chartFile, 0, "values: %s", oneLine(err.Error()))
	}
	merged, _ := inputs["Values"].(common.Values)
	if err := shared.schemas.check(own, merged.AsMap()); err != nil {
		return nil, renderer.Refuse(path.Join(shared.origin.root, "values.schema.json"), 0, "%v", err)
	}
	inputs["Capabilities"] = capabilities
	files, err := engine.Engine{}.Render(own, inputs)
	if err != nil {
		return nil, shared.origin.refuse(err)
	}
	return files, nil
}

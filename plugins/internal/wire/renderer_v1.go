package wire

import (
	"fmt"

	"github.com/periplus-fleet/periplus/api/content"
	pluginv1 "github.com/periplus-fleet/periplus/api/proto/periplus/plugin/v1"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// ToRenderRequest leaves the trees to the caller.
func ToRenderRequest(r renderer.Request) (*pluginv1.RenderRequest, error) {
	values, err := EncodeObject(r.Values)
	if err != nil {
		return nil, fmt.Errorf("cannot send the values: %w", err)
	}
	config, err := EncodeObject(r.Config)
	if err != nil {
		return nil, fmt.Errorf("cannot send the configuration: %w", err)
	}
	return &pluginv1.RenderRequest{ContentId: r.ContentID, Dir: r.Dir, Path: r.Path, ChartId: r.ChartID, ValuesFiles: r.ValuesFiles,
		Values: values, Config: config, ReleaseName: r.ReleaseName, Namespace: r.Namespace,
		Capabilities: &pluginv1.Capabilities{KubeVersion: r.Capabilities.KubeVersion, ApiVersions: r.Capabilities.APIVersions}}, nil
}

// FromRenderRequest leaves the trees to the caller.
func FromRenderRequest(r *pluginv1.RenderRequest) (renderer.Request, error) {
	values, err := DecodeObject(r.GetValues())
	if err != nil {
		return renderer.Request{}, fmt.Errorf("cannot read the values: %w", err)
	}
	config, err := DecodeObject(r.GetConfig())
	if err != nil {
		return renderer.Request{}, fmt.Errorf("cannot read the configuration: %w", err)
	}
	return renderer.Request{ContentID: r.GetContentId(), Dir: r.GetDir(), Path: r.GetPath(), ChartID: r.GetChartId(), ValuesFiles: r.GetValuesFiles(),
		Values: values, Config: config, ReleaseName: r.GetReleaseName(), Namespace: r.GetNamespace(),
		Capabilities: renderer.Capabilities{KubeVersion: r.GetCapabilities().GetKubeVersion(), APIVersions: r.GetCapabilities().GetApiVersions()}}, nil
}

// ToRenderResponse is a result as it travels.
func ToRenderResponse(result renderer.Result) (*pluginv1.RenderResponse, error) {
	out := &pluginv1.RenderResponse{Warnings: result.Warnings, Objects: make([]*pluginv1.Object, len(result.Objects)),
		Used: &pluginv1.Used{KubeVersion: result.Used.KubeVersion, ApiVersions: result.Used.APIVersions, AllApiVersions: result.Used.AllAPIVersions}}
	for i, object := range result.Objects {
		value, err := EncodeObject(object.Value)
		if err != nil {
			return nil, fmt.Errorf("cannot send the object of %q: %w", object.Source, err)
		}
		out.Objects[i] = &pluginv1.Object{Value: value, Source: object.Source, Sealed: object.Sealed}
		if hook := object.Hook; hook != nil {
			out.Objects[i].Hook = &pluginv1.Hook{Events: hook.Events, Weight: int32(hook.Weight), DeletePolicies: hook.DeletePolicies}
		}
	}
	return out, nil
}

// FromRenderResponse refuses answers that are no result.
func FromRenderResponse(response *pluginv1.RenderResponse) (renderer.Result, error) {
	used := response.GetUsed()
	result := renderer.Result{Warnings: response.GetWarnings(), Used: renderer.Used{KubeVersion: used.GetKubeVersion(),
		APIVersions: used.GetApiVersions(), AllAPIVersions: used.GetAllApiVersions()}}
	if len(response.GetObjects()) > 0 {
		result.Objects = make([]renderer.Object, len(response.GetObjects()))
	}
	for i, object := range response.GetObjects() {
		value, err := DecodeObject(object.GetValue())
		if err != nil {
			return renderer.Result{}, fmt.Errorf("object %d (%s) of the answer: %w", i+1, object.GetSource(), err)
		}
		if value == nil {
			return renderer.Result{}, fmt.Errorf("object %d (%s) of the answer is empty", i+1, object.GetSource())
		}
		result.Objects[i] = renderer.Object{Value: value, Source: object.GetSource(), Sealed: object.Sealed}
		if hook := object.GetHook(); hook != nil {
			result.Objects[i].Hook = &content.Hook{Events: hook.GetEvents(), Weight: int(hook.GetWeight()), DeletePolicies: hook.GetDeletePolicies()}
		}
	}
	return result, nil
}

package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/render/generated"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// basePlan is a request to a renderer.
type basePlan struct {
	renderer renderer.Renderer
	request  renderer.Request
	// key is of everything that the output depends on but the cluster's capabilities; proof is of what a proof holds for.
	key, proof string
	// decrypt says that encrypted files are opened for the renderer, secret that the output is.
	decrypt, secret bool
	// once are the fields that are generated, for pair.
	once []v1alpha1.FieldRule
	pair generated.Pair
}

func (r *Renderer) plan(in Input) (basePlan, error) {
	request := renderer.Request{FS: in.Tree, Dir: in.Bundle.Path}
	name, err := describeSource(in, &request)
	if err != nil {
		return basePlan{}, fmt.Errorf("cannot render bundle %q: %w", in.Bundle.Key, err)
	}
	chosen, ok := r.renderers[name]
	if !ok {
		return basePlan{}, fmt.Errorf("cannot render bundle %q: this hub has no renderer %q", in.Bundle.Key, name)
	}
	plan := basePlan{renderer: chosen, decrypt: in.Bundle.Spec.Decrypt == v1alpha1.DecryptHub, once: in.Bundle.Spec.Generate.Once,
		pair: generated.Pair{ClusterUID: in.ClusterUID, Bundle: string(in.Bundle.Key)}}
	plan.secret = plan.decrypt || in.Secret
	if plan.decrypt && r.decrypter == nil {
		return basePlan{}, renderer.Refuse(in.Bundle.File, in.Bundle.LineOf("spec.decrypt"), "spec.decrypt: this hub has no decrypter")
	}
	if len(plan.once) > 0 && r.keeper != nil && in.ClusterUID == "" {
		return basePlan{}, fmt.Errorf("cannot render bundle %q: it generates values, and the cluster has no uid", in.Bundle.Key)
	}
	if chosen.TakesValues() {
		request.Values, request.Namespace = in.Inputs.Values, in.Inputs.Namespace
		if request.ReleaseName == "" {
			_, request.ReleaseName, _ = strings.Cut(string(in.Bundle.Key), "/")
		}
	} else if len(in.Inputs.Values) > 0 {
		return basePlan{}, renderer.Refuse(in.Bundle.File, in.Bundle.LineOf("spec.values"), "spec.values: renderer %s takes no values; use set or patches", name)
	}
	hash, err := contentHash(in)
	if err == nil {
		err = r.name(&plan, request, hash)
	}
	if err != nil {
		return basePlan{}, fmt.Errorf("cannot render bundle %q: %w", in.Bundle.Key, err)
	}
	request.Capabilities = renderer.Capabilities{KubeVersion: in.ClusterVersion, APIVersions: in.APIVersions}
	if request.Capabilities.KubeVersion == "" {
		request.Capabilities.KubeVersion = DefaultKubeVersion
	}
	// A renderer must not keep what was opened for it.
	if !plan.decrypt {
		request.ContentID = hash
	}
	plan.request = request
	return plan, nil
}

// describeSource fills the request with what the source says, and returns the renderer's name.
func describeSource(in Input, request *renderer.Request) (name string, err error) {
	switch source := in.Inputs.Source; {
	case source == nil:
		return "manifests", nil
	case source.Helm != nil:
		return "helm", describeHelm(in, source.Helm, request)
	case source.Kustomize != nil:
		request.Path = source.Kustomize.Path
		return "kustomize", nil
	case source.Jsonnet != nil:
		request.Path = source.Jsonnet.Path
		request.Config = map[string]any{}
		if len(source.Jsonnet.ImportPaths) > 0 {
			folders := make([]any, len(source.Jsonnet.ImportPaths))
			for i, folder := range source.Jsonnet.ImportPaths {
				folders[i] = folder
			}
			request.Config["importPaths"] = folders
		}
		if source.Jsonnet.ValuesAs != "" {
			request.Config["valuesAs"] = source.Jsonnet.ValuesAs
		}
		return "jsonnet", nil
	case source.Plugin != nil:
		request.Path = source.Plugin.Path
		if config := source.Plugin.Config; config != nil {
			err = json.Unmarshal(config.Raw, &request.Config)
		}
		return source.Plugin.Name, err
	default:
		return "", errors.New("a source in another FleetRepo (source.git) is not supported in this version")
	}
}

func describeHelm(in Input, source *v1alpha1.HelmSource, request *renderer.Request) error {
	request.Path, request.ValuesFiles, request.ReleaseName = source.Chart, source.ValuesFiles, source.ReleaseName
	request.Chart, request.ChartID = in.Chart, in.ChartID
	if source.Chart == "" && in.Chart == nil {
		return errors.New("its chart was not fetched yet")
	}
	request.Config = map[string]any{}
	if source.SkipCRDs {
		request.Config["skipCRDs"] = true
	}
	if source.Tests {
		request.Config["tests"] = true
	}
	return nil
}

// name gives the plan its keys. The request has no capabilities yet.
func (r *Renderer) name(plan *basePlan, request renderer.Request, hash string) error {
	type read struct {
		Renderer, Version, Content string
		Decrypter                  string
		// Cluster and Once only where values are generated: what is generated is not shared.
		Cluster string
		Once    []v1alpha1.FieldRule
		Secret  bool
		Request renderer.Request
	}
	all := read{Renderer: plan.renderer.Name(), Version: plan.renderer.Version(), Content: hash, Secret: plan.secret, Once: plan.once, Request: request}
	if plan.decrypt {
		all.Decrypter = r.decrypter.Name() + " " + r.decrypter.Version()
	}
	proof := all
	proof.Secret, proof.Request.Values = false, nil
	shaped, err := content.CanonicalJSON(struct {
		Read  read
		Shape any
	}{proof, shape(request.Values)})
	if err != nil {
		return err
	}
	if len(plan.once) > 0 {
		all.Cluster = plan.pair.ClusterUID
	}
	data, err := content.CanonicalJSON(all)
	plan.key, plan.proof = r.sum("base", string(data)), r.sum("proof", string(shaped))
	return err
}

// shape of values is what a chart's conditions mostly look at: which are there, which are empty, and which are true. A
// proof holds for all values of one shape, so that 1,000 clusters with names of their own are not rendered twice each.
func shape(value any) any {
	switch typed := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(typed))
		for key, field := range typed {
			out[key] = shape(field)
		}
		return out
	case []any:
		out := make([]any, len(typed))
		for i, item := range typed {
			out[i] = shape(item)
		}
		return out
	case nil, bool:
		return typed
	case string:
		return [2]any{"text", typed != ""}
	default:
		return [2]any{"number", fmt.Sprint(typed) != "0"}
	}
}

func contentHash(in Input) (string, error) {
	if in.Bundle.Tree != nil && in.Tree == in.Bundle.Tree {
		return in.Bundle.TreeHash, nil
	}
	return fleet.ContentHash(in.Tree, in.Bundle.Path, v1alpha1.BundleSpec{Source: in.Inputs.Source})
}

// Package render turns a bundle's inputs into a variant: the objects of one revision. It works in two layers, so that
// clusters which differ only in small things share the costly one. The base layer is a renderer's output, kept by
// everything that it may depend on; the post layer adds labels, patches and values by pointer. Package gate judges the
// variant, package store keeps its blobs.
package render

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/singleflight"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/plugins/renderer/helm"
	"github.com/periplus-fleet/periplus/plugins/renderer/jsonnet"
	"github.com/periplus-fleet/periplus/plugins/renderer/kustomize"
	"github.com/periplus-fleet/periplus/plugins/renderer/manifests"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// Tree is the files that a variant is rendered from.
type Tree = fleet.Tree

// DefaultCacheBytes bounds each of the two caches, by the size of the JSON in it.
const DefaultCacheBytes = 64 << 20

// DefaultKubeVersion is what charts see as the cluster's version where its declaration names none.
const DefaultKubeVersion = "v1.36.0"

// Config of a Renderer.
type Config struct {
	// Renderers by name; nil is Builtin().
	Renderers []renderer.Renderer
	// SecretKey names the content of Secrets.
	SecretKey []byte
	// CacheBytes of each cache; 0 is DefaultCacheBytes.
	CacheBytes int
}

// Builtin renderers, which run in this process.
func Builtin() []renderer.Renderer {
	return []renderer.Renderer{manifests.Renderer{}, kustomize.Renderer{}, helm.New(), jsonnet.New()}
}

// Renderer renders variants. It is safe for concurrent use and never renders twice for one key at a time.
type Renderer struct {
	renderers map[string]renderer.Renderer
	secretKey []byte
	bases     *cache[[]renderer.Object]
	variants  *cache[*Variant]
	// proven are the contents that were rendered twice and gave the same.
	proven *cache[bool]
	flight singleflight.Group
	stats  struct{ bases, baseHits, variants, variantHits atomic.Uint64 }
}

// Stats count since the start.
type Stats struct{ Bases, BaseHits, Variants, VariantHits uint64 }

// Input of one variant.
type Input struct {
	Bundle fleet.BundleDecl
	// Tree of the target's ref; nil is the bundle's own.
	Tree   Tree
	Inputs target.Inputs
	// ClusterVersion of Kubernetes as declared; only charts see it.
	ClusterVersion string
}

// Variant is one rendering of a bundle.
type Variant struct {
	Manifest content.Manifest
	Revision content.Digest
	// Blobs are the objects' canonical JSON, those of Secrets in the clear.
	Blobs map[content.Digest][]byte
	// Required capabilities of the agent.
	Required []string
}

// New makes a renderer.
func New(cfg Config) (*Renderer, error) {
	if len(cfg.SecretKey) == 0 {
		return nil, errors.New("cannot render without a key that names the content of Secrets")
	}
	if cfg.Renderers == nil {
		cfg.Renderers = Builtin()
	}
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = DefaultCacheBytes
	}
	r := &Renderer{renderers: map[string]renderer.Renderer{}, secretKey: cfg.SecretKey, bases: newCache[[]renderer.Object](cfg.CacheBytes),
		variants: newCache[*Variant](cfg.CacheBytes), proven: newCache[bool](1 << 20)}
	for _, one := range cfg.Renderers {
		r.renderers[one.Name()] = one
	}
	return r, nil
}

// Stats of the work done and saved.
func (r *Renderer) Stats() Stats {
	return Stats{Bases: r.stats.bases.Load(), BaseHits: r.stats.baseHits.Load(),
		Variants: r.stats.variants.Load(), VariantHits: r.stats.variantHits.Load()}
}

// Render returns the variant for the inputs. Errors name file and line where a file is at fault.
func (r *Renderer) Render(ctx context.Context, in Input) (*Variant, error) {
	if in.Tree == nil {
		in.Tree = in.Bundle.Tree
	}
	base, err := r.plan(in)
	if err != nil {
		return nil, err
	}
	post, err := content.CanonicalJSON(struct {
		Base, Namespace string
		Labels          map[string]string
		Annotations     map[string]string
		Patches         []v1alpha1.Patch
		Set             []target.Set
	}{base.key, in.Inputs.Namespace, in.Inputs.Labels, in.Inputs.Annotations, in.Inputs.Patches, in.Inputs.Set})
	if err != nil {
		return nil, fmt.Errorf("cannot render bundle %q: %w", in.Bundle.Key, err)
	}
	key := sum(post)
	if variant, ok := r.variants.get(key); ok {
		r.stats.variantHits.Add(1)
		return variant, nil
	}
	variant, err, shared := r.flight.Do("variant "+key, func() (any, error) {
		// The work is done for all who wait for it, so one caller's end does not end it.
		return r.render(context.WithoutCancel(ctx), in, base)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot render bundle %q: %w", in.Bundle.Key, err)
	}
	if shared {
		r.stats.variantHits.Add(1)
	}
	result := variant.(*Variant)
	r.variants.put(key, result, result.size())
	return result, nil
}

func (r *Renderer) render(ctx context.Context, in Input, base basePlan) (*Variant, error) {
	objects, err := r.base(ctx, base)
	if err != nil {
		return nil, err
	}
	r.stats.variants.Add(1)
	if objects, err = post(in, objects); err != nil {
		return nil, err
	}
	return assemble(in.Inputs.Namespace, objects, r.secretKey)
}

// basePlan is a request to a renderer with the key of its result.
type basePlan struct {
	renderer renderer.Renderer
	request  renderer.Request
	key      string
	// content is the key of what is read, without the inputs.
	content string
}

func (r *Renderer) plan(in Input) (basePlan, error) {
	name, request := "manifests", renderer.Request{FS: in.Tree, Dir: in.Bundle.Path}
	switch source := in.Inputs.Source; {
	case source == nil:
	case source.Helm != nil:
		name, request.Path, request.ValuesFiles = "helm", source.Helm.Chart, source.Helm.ValuesFiles
		request.ReleaseName = source.Helm.ReleaseName
	case source.Kustomize != nil:
		name, request.Path = "kustomize", source.Kustomize.Path
	case source.Plugin != nil || source.Git != nil:
		return basePlan{}, fmt.Errorf("cannot render bundle %q: its source is not supported in this version", in.Bundle.Key)
	}
	chosen, ok := r.renderers[name]
	if !ok {
		return basePlan{}, fmt.Errorf("cannot render bundle %q: there is no renderer %q", in.Bundle.Key, name)
	}
	hash, err := contentHash(in)
	if err != nil {
		return basePlan{}, fmt.Errorf("cannot render bundle %q: %w", in.Bundle.Key, err)
	}
	if chosen.TakesValues() {
		request.Values, request.Namespace = in.Inputs.Values, in.Inputs.Namespace
		request.Capabilities.KubeVersion = in.ClusterVersion
		if request.Capabilities.KubeVersion == "" {
			request.Capabilities.KubeVersion = DefaultKubeVersion
		}
		if request.ReleaseName == "" {
			_, request.ReleaseName, _ = strings.Cut(string(in.Bundle.Key), "/")
		}
	} else if len(in.Inputs.Values) > 0 {
		return basePlan{}, renderer.Refuse(in.Bundle.File, in.Bundle.LineOf("spec.values"), "spec.values: renderer %s takes no values; use set or patches", name)
	}
	plan := basePlan{renderer: chosen, request: request, content: chosen.Name() + " " + chosen.Version() + " " + hash + " " + request.Dir + " " + request.Path}
	bare := request
	bare.FS = nil
	data, err := content.CanonicalJSON(struct {
		Content string
		Request renderer.Request
	}{plan.content, bare})
	if err != nil {
		return basePlan{}, fmt.Errorf("cannot render bundle %q: %w", in.Bundle.Key, err)
	}
	plan.key = sum(data)
	return plan, nil
}

func contentHash(in Input) (string, error) {
	if in.Bundle.Tree != nil && in.Tree == in.Bundle.Tree {
		return in.Bundle.TreeHash, nil
	}
	return fleet.ContentHash(in.Tree, in.Bundle.Path, v1alpha1.BundleSpec{Source: in.Inputs.Source})
}

// base returns a renderer's output, from the cache where it is there. It is shared: nobody may change it.
func (r *Renderer) base(ctx context.Context, plan basePlan) ([]renderer.Object, error) {
	if objects, ok := r.bases.get(plan.key); ok {
		r.stats.baseHits.Add(1)
		return objects, nil
	}
	objects, err, _ := r.flight.Do("base "+plan.key, func() (any, error) {
		r.stats.bases.Add(1)
		result, err := plan.renderer.Render(ctx, plan.request)
		if err != nil {
			return nil, err
		}
		if err := r.prove(ctx, plan, result.Objects); err != nil {
			return nil, err
		}
		size, err := sizeOf(result.Objects)
		if err != nil {
			return nil, err
		}
		r.bases.put(plan.key, result.Objects, size)
		return result.Objects, nil
	})
	if err != nil {
		return nil, err
	}
	return objects.([]renderer.Object), nil
}

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}

// Package render turns a bundle's inputs into a variant: the objects of one revision. It works in two layers, so that
// clusters which differ only in small things share the costly one. The base layer is a renderer's output, kept by
// everything that it may depend on; the post layer adds labels, patches and values by pointer. Package gate judges the
// variant, package store keeps its blobs.
package render

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/singleflight"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/render/basecache"
	"github.com/periplus-fleet/periplus/hub/render/generated"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/plugins/renderer/helm"
	"github.com/periplus-fleet/periplus/plugins/renderer/jsonnet"
	"github.com/periplus-fleet/periplus/plugins/renderer/kustomize"
	"github.com/periplus-fleet/periplus/plugins/renderer/manifests"
	"github.com/periplus-fleet/periplus/plugins/sdk/decrypter"
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
	// SecretKey names the content of Secrets, and is what the key of the cache on disk is derived from.
	SecretKey []byte
	// CacheBytes of each cache in memory; 0 is DefaultCacheBytes.
	CacheBytes int
	// Folder keeps bases over restarts; "" keeps none. FolderBytes bounds it; 0 is basecache.DefaultBytes.
	Folder      string
	FolderBytes int64
	// Decrypter of bundles with decrypt: hub; nil refuses them.
	Decrypter decrypter.Decrypter
	// Generated keeps what generate.once names; nil keeps nothing, so that each rendering gives new values.
	Generated generated.Keeper
	// Unmasked shows what renderers say of secret inputs: for a person who has the keys, never for a hub.
	Unmasked bool
	// Log of what fails without a rendering failing; nil is none.
	Log *slog.Logger
}

// Builtin renderers, which run in this process.
func Builtin() []renderer.Renderer {
	return []renderer.Renderer{manifests.Renderer{}, kustomize.Renderer{}, helm.New(), jsonnet.New()}
}

// Renderer renders variants. It is safe for concurrent use and never renders twice for one key at a time.
type Renderer struct {
	renderers map[string]renderer.Renderer
	secretKey []byte
	decrypter decrypter.Decrypter
	keeper    generated.Keeper
	unmasked  bool
	log       *slog.Logger

	bases *cache[*base]
	// disk is below bases; nil where there is none.
	disk     *basecache.Cache
	uses     *uses
	variants *variantCache
	// proven are the contents that were rendered twice and gave the same, refused the mistakes that were found.
	proven  *cache[bool]
	refused *cache[error]
	flight  singleflight.Group
	stats   struct{ bases, baseHits, restored, variants, variantHits atomic.Uint64 }
}

// Stats count since the start. Bases that were restored from disk are hits, too.
type Stats struct{ Bases, BaseHits, Restored, Variants, VariantHits uint64 }

// Input of one variant.
type Input struct {
	Bundle fleet.BundleDecl
	// Tree of the target's ref; nil is the bundle's own.
	Tree   Tree
	Inputs target.Inputs
	// Chart that the source names in a repository, fetched, with its digest and version; nil where the chart is in Tree.
	Chart        fs.FS
	ChartID      string
	ChartVersion string
	// ClusterVersion of Kubernetes as declared; only charts see it.
	ClusterVersion string
	// APIVersions that the cluster serves, as group/version/Kind and sorted; nil where it was never heard.
	APIVersions []string
	// ClusterUID is asked for where the bundle generates values: they are the cluster's own.
	ClusterUID string
	// Secret says that some of the inputs' values come from a Secret.
	Secret bool
}

// Variant is one rendering of a bundle. It is shared: nobody may change it.
type Variant struct {
	Manifest content.Manifest
	Revision content.Digest
	// Blobs are the objects' content as it travels, those of Secrets in the clear.
	Blobs map[content.Digest][]byte
	// Required capabilities of the agent, sorted.
	Required []string
	// Warnings of the renderer, for the bundle's author.
	Warnings []string
	// Key finds the variant again, see Known; BaseKey names the base, see Hold.
	Key, BaseKey string
	// Secret says that every object is treated as a Secret is.
	Secret bool

	// judged is what policies see where it is not the blob: sealed objects in their encrypted form.
	judged map[content.Digest][]byte
}

// Judged is an object's JSON as policies see it; nil where the variant has no such object.
func (v *Variant) Judged(digest content.Digest) []byte {
	if object, ok := v.judged[digest]; ok {
		return object
	}
	return v.Blobs[digest]
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
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Renderer{renderers: map[string]renderer.Renderer{}, secretKey: cfg.SecretKey, decrypter: cfg.Decrypter, keeper: cfg.Generated,
		unmasked: cfg.Unmasked, log: cfg.Log, bases: newCache[*base](cfg.CacheBytes), variants: newVariantCache(cfg.CacheBytes),
		proven: newCache[bool](1 << 20), refused: newCache[error](1 << 20)}
	for _, one := range cfg.Renderers {
		r.renderers[one.Name()] = one
	}
	if cfg.Folder != "" {
		var err error
		if r.disk, err = basecache.Open(basecache.Config{Folder: cfg.Folder, Key: cfg.SecretKey, Bytes: cfg.FolderBytes}); err != nil {
			return nil, err
		}
	}
	r.uses = &uses{disk: r.disk, known: newCache[[]renderer.Used](1 << 22)}
	return r, nil
}

// Stats of the work done and saved.
func (r *Renderer) Stats() Stats {
	return Stats{Bases: r.stats.bases.Load(), BaseHits: r.stats.baseHits.Load(), Restored: r.stats.restored.Load(),
		Variants: r.stats.variants.Load(), VariantHits: r.stats.variantHits.Load()}
}

// Render returns the variant for the inputs. Errors name file and line where a file is at fault.
func (r *Renderer) Render(ctx context.Context, in Input) (*Variant, error) {
	if in.Tree == nil {
		in.Tree = in.Bundle.Tree
	}
	plan, err := r.plan(in)
	if err != nil {
		return nil, err
	}
	variant, err := r.variant(ctx, in, plan)
	if err != nil {
		return nil, fmt.Errorf("cannot render bundle %q: %w", in.Bundle.Key, err)
	}
	return variant, nil
}

func (r *Renderer) variant(ctx context.Context, in Input, plan basePlan) (*Variant, error) {
	layer, err := content.CanonicalJSON(struct {
		Namespace   string
		Labels      map[string]string
		Annotations map[string]string
		Patches     []v1alpha1.Patch
		Set         []target.Set
		Adopt       v1alpha1.AdoptPolicy  `json:",omitempty"`
		Objects     []v1alpha1.ObjectRule `json:",omitempty"`
	}{in.Inputs.Namespace, in.Inputs.Labels, in.Inputs.Annotations, in.Inputs.Patches, in.Inputs.Set, in.Bundle.Spec.Adopt, in.Bundle.Spec.Objects})
	if err != nil {
		return nil, err
	}
	kept, err := r.kept(ctx, plan)
	if err != nil {
		return nil, err
	}
	keyOver := func(base string) string { return r.sum(base, string(layer), kept.sum()) }
	for _, used := range r.uses.of(plan.key) {
		if variant, ok := r.variants.get(keyOver(r.baseKey(plan, used))); ok {
			r.stats.variantHits.Add(1)
			return variant, nil
		}
	}
	// The work is done for all who wait for it, so one caller's end does not end it.
	base, err := r.base(context.WithoutCancel(ctx), plan)
	if err != nil {
		return nil, err
	}
	if kept, err = r.keep(ctx, plan, base, kept); err != nil {
		return nil, err
	}
	key := keyOver(base.key)
	made := false
	variant, err, _ := r.flight.Do("variant "+key, func() (any, error) {
		if variant, ok := r.variants.get(key); ok {
			return variant, nil
		}
		made = true
		variant, err := r.over(in, plan, base, kept)
		if err != nil {
			return nil, err
		}
		variant.Key = key
		r.variants.put(key, variant)
		return variant, nil
	})
	if err != nil {
		return nil, err
	}
	if !made {
		r.stats.variantHits.Add(1)
	}
	return variant.(*Variant), nil
}

// Known is a variant that was made a while ago, by its Key; nil where it is not at hand any more.
func (r *Renderer) Known(key string) *Variant {
	variant, _ := r.variants.get(key)
	return variant
}

// over lays the post layer over a base.
func (r *Renderer) over(in Input, plan basePlan, base *base, kept keptValues) (*Variant, error) {
	r.stats.variants.Add(1)
	objects, once, err := kept.putBack(base.objects)
	if err != nil {
		return nil, err
	}
	if objects, err = post(in, objects); err != nil {
		return nil, r.conceal(plan, err)
	}
	work := assembly{in: in, freezer: freezer{secretKey: r.secretKey, secret: plan.secret, once: once}, base: base}
	variant, err := work.variant(objects)
	if err != nil {
		return nil, err
	}
	variant.Warnings, variant.BaseKey, variant.Secret = base.warnings, base.key, plan.secret
	return variant, nil
}

// Hold says which bases must stay on disk, by Variant.BaseKey, instead of those that it was told before for the same namespace:
// those of every assignment. What it was told last is kept over restarts.
func (r *Renderer) Hold(namespace string, baseKeys iter.Seq[string]) {
	if r.disk == nil {
		return
	}
	var held []string
	for key := range baseKeys {
		// Without what was asked at the first look-up, the base would not be found.
		first, _, _ := strings.Cut(key, ".")
		held = append(held, baseEntry+key, usesEntry+first)
	}
	if err := r.disk.Hold(namespace, held); err != nil {
		r.log.Warn("cannot hold renderings", "error", err)
	}
}

// Names of the entries on disk.
const (
	baseEntry   = "base "
	usesEntry   = "uses "
	provenEntry = "proven "
)

func (r *Renderer) store(entry, key string, data []byte) {
	if r.disk == nil {
		return
	}
	if err := r.disk.Put(entry+key, data); err != nil {
		r.log.Warn("cannot keep a rendering", "error", err)
	}
}

// sum of parts, under the secret key: the parts may hold what nobody may guess.
func (r *Renderer) sum(parts ...string) string {
	mac := hmac.New(sha256.New, r.secretKey)
	for _, part := range parts {
		_, _ = fmt.Fprintf(mac, "%d %s", len(part), part)
	}
	return hex.EncodeToString(mac.Sum(nil))
}

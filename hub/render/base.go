package render

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// base is a renderer's output. It is shared: nobody may change it.
type base struct {
	key      string
	used     renderer.Used
	objects  []renderer.Object
	warnings []string
	// frozen objects by their map: those that a variant does not change are not encoded again, and share their content.
	frozen map[uintptr]frozen
	size   int
}

// newBase freezes what can be: an object that is refused as it stands may be mended by a patch.
func newBase(key string, result renderer.Result, freezer freezer) (*base, error) {
	made := &base{key: key, used: result.Used, objects: result.Objects, warnings: result.Warnings, frozen: make(map[uintptr]frozen, len(result.Objects))}
	for _, object := range result.Objects {
		made.size += len(object.Source) + len(object.Sealed)
		// What is done to a sealed object stands in its content, so that it is each variant's own.
		if object.Sealed == nil {
			if one, err := freezer.freeze(Input{}, object); err == nil {
				made.frozen[identityOf(object.Value)] = one
				// Once encoded and once decoded.
				made.size += 3 * len(one.blob)
				continue
			}
		}
		data, err := content.CanonicalJSON(object.Value)
		if err != nil {
			return nil, err
		}
		made.size += 2 * len(data)
	}
	return made, nil
}

// identityOf a map, for as long as somebody holds it.
func identityOf(value map[string]any) uintptr { return reflect.ValueOf(value).Pointer() }

// attempt at a base, for all who wait for it.
type attempt struct {
	base  *base
	err   error
	facts string
}

// base returns the output for a plan, from a cache where it is there.
func (r *Renderer) base(ctx context.Context, plan basePlan) (*base, error) {
	for {
		if found, err := r.findBase(plan); found != nil || err != nil {
			return found, err
		}
		result, _, _ := r.flight.Do("base "+plan.key, func() (any, error) {
			if found, err := r.findBase(plan); found != nil || err != nil {
				return attempt{found, err, r.facts(plan)}, nil
			}
			made, err := r.makeBase(ctx, plan)
			return attempt{made, err, r.facts(plan)}, nil
		})
		// Others wait here whose clusters differ: what was made is theirs if they answer the same, a mistake if all is the same.
		tried := result.(attempt)
		if tried.err == nil && tried.base.key == r.baseKey(plan, tried.base.used) || tried.err != nil && tried.facts == r.facts(plan) {
			return tried.base, tried.err
		}
	}
}

// facts are all that the cluster may be asked for.
func (r *Renderer) facts(plan basePlan) string {
	return r.sum(answers(plan.request.Capabilities, renderer.Used{KubeVersion: true, AllAPIVersions: true})...)
}

// findBase looks in memory, then on disk. A mistake that was found before is the error.
func (r *Renderer) findBase(plan basePlan) (*base, error) {
	for _, used := range r.uses.of(plan.key) {
		key := r.baseKey(plan, used)
		if found, ok := r.bases.get(key); ok {
			r.stats.baseHits.Add(1)
			return found, nil
		}
		if found := r.restore(plan, key); found != nil {
			r.stats.baseHits.Add(1)
			r.stats.restored.Add(1)
			r.bases.put(key, found, found.size)
			return found, nil
		}
	}
	mistake, _ := r.refused.get(plan.key + r.facts(plan))
	return nil, mistake
}

func (r *Renderer) makeBase(ctx context.Context, plan basePlan) (*base, error) {
	r.stats.bases.Add(1)
	result, err := r.ask(ctx, plan)
	if err == nil {
		err = r.prove(ctx, plan, result.Objects)
	}
	if err != nil {
		// Equal inputs make equal mistakes; what failed otherwise may go well the next time.
		if mistake := new(renderer.Error); errors.As(err, &mistake) && !errors.Is(err, errDecrypt) {
			r.refused.put(plan.key+r.facts(plan), err, len(err.Error()))
		}
		return nil, err
	}
	if plan.secret && !r.unmasked && len(result.Warnings) > 0 {
		result.Warnings = []string{"it has warnings, which are withheld, as they may quote secret inputs"}
	}
	made, err := newBase(r.baseKey(plan, result.Used), result, r.freezerOf(plan))
	if err != nil {
		return nil, err
	}
	if err := r.keepBase(plan, made, result); err != nil {
		return nil, err
	}
	return made, nil
}

// ask the renderer.
func (r *Renderer) ask(ctx context.Context, plan basePlan) (renderer.Result, error) {
	request := plan.request
	request.Capabilities.APIVersions = withVersions(request.Capabilities.APIVersions)
	var opened *openTree
	if plan.decrypt {
		opened = &openTree{FS: request.FS, ctx: ctx, decrypter: r.decrypter}
		request.FS = opened
	}
	result, err := plan.renderer.Render(ctx, request)
	if err == nil {
		return result, nil
	}
	if cause := opened.failure(); cause != nil {
		return renderer.Result{}, cause
	}
	return renderer.Result{}, r.conceal(plan, err)
}

func (r *Renderer) freezerOf(plan basePlan) freezer {
	return freezer{secretKey: r.secretKey, secret: plan.secret}
}

// storedBase is a base on disk.
type storedBase struct {
	Used     renderer.Used
	Warnings []string
	Objects  []storedObject
}

type storedObject struct {
	Value  json.RawMessage
	Source string
	Hook   *content.Hook
	Sealed []byte
}

// keepBase puts a base into memory and onto disk, and what it asked last, as that leads to it.
func (r *Renderer) keepBase(plan basePlan, made *base, result renderer.Result) error {
	r.bases.put(made.key, made, made.size)
	if r.disk != nil {
		stored := storedBase{Used: result.Used, Warnings: result.Warnings, Objects: make([]storedObject, len(result.Objects))}
		for i, object := range result.Objects {
			value, err := content.CanonicalJSON(object.Value)
			if err != nil {
				return err
			}
			stored.Objects[i] = storedObject{value, object.Source, object.Hook, object.Sealed}
		}
		data, err := content.CanonicalJSON(stored)
		if err != nil {
			return err
		}
		r.store(baseEntry, made.key, data)
	}
	asked, err := r.uses.add(plan.key, result.Used)
	if asked != nil && err == nil {
		r.store(usesEntry, plan.key, asked)
	}
	return err
}

// restore reads a base from disk; nil where it is not there or cannot be read.
func (r *Renderer) restore(plan basePlan, key string) *base {
	if r.disk == nil {
		return nil
	}
	data, ok := r.disk.Get(baseEntry + key)
	var stored storedBase
	if !ok || json.Unmarshal(data, &stored) != nil {
		return nil
	}
	result := renderer.Result{Used: stored.Used, Warnings: stored.Warnings, Objects: make([]renderer.Object, len(stored.Objects))}
	for i, object := range stored.Objects {
		value, err := yamldoc.ObjectFromJSON(object.Value)
		if err != nil {
			return nil
		}
		result.Objects[i] = renderer.Object{Value: value, Source: object.Source, Hook: object.Hook, Sealed: object.Sealed}
	}
	found, err := newBase(key, result, r.freezerOf(plan))
	if err != nil {
		return nil
	}
	return found
}

package audit

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/agent/policy"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// results are what was found of objects, and what of that is still to be told.
type results struct {
	max, count int
	// untold counts what is more than max.
	untold  int
	objects map[content.ObjectID]map[string]*linkv1.PolicyResult
	upserts map[string]*linkv1.PolicyResult
	gone    map[string]*linkv1.PolicyResultKey
	// problems that were told last; full is true until anything was told.
	problems []string
	full     bool
}

func newResults(most int) *results {
	return &results{max: most, objects: map[content.ObjectID]map[string]*linkv1.PolicyResult{}, upserts: map[string]*linkv1.PolicyResult{},
		gone: map[string]*linkv1.PolicyResultKey{}, full: true}
}

func keyOf(kind schema.GroupKind, object *unstructured.Unstructured) content.ObjectID {
	return content.ObjectID{Group: kind.Group, Kind: kind.Kind, Namespace: object.GetNamespace(), Name: object.GetName()}
}

// resultsOf are findings of an object as they are told, by what tells them apart.
func resultsOf(id content.ObjectID, findings []engine.Finding, inForce *policy.InForce, now time.Time) map[string]*linkv1.PolicyResult {
	if len(findings) == 0 {
		return nil
	}
	object := &linkv1.ObjectId{Group: id.Group, Kind: id.Kind, Namespace: id.Namespace, Name: id.Name}
	out := make(map[string]*linkv1.PolicyResult, len(findings))
	for _, f := range findings {
		out[f.Policy+" "+f.ID()] = &linkv1.PolicyResult{
			Key:  &linkv1.PolicyResultKey{Point: engine.PointAudit, Object: object, Policy: f.Policy, Id: f.ID()},
			Rule: f.Rule, Action: string(f.Action), Result: f.Result, Message: f.Message, File: f.File, Line: int32(f.Line), Exemption: f.Exemption,
			Time: timestamppb.New(now), Revision: string(inForce.Revision)}
	}
	return out
}

// put replaces what was found of an object.
func (r *results) put(id content.ObjectID, now map[string]*linkv1.PolicyResult) {
	before := r.objects[id]
	if len(before) == 0 && len(now) == 0 {
		return
	}
	for name, result := range before {
		if now[name] == nil {
			r.count--
			delete(r.upserts, id.String()+name)
			r.gone[id.String()+name] = result.GetKey()
		}
	}
	kept := make(map[string]*linkv1.PolicyResult, len(now))
	for name, result := range now {
		old := before[name]
		switch {
		case old != nil && same(old, result):
			// It was found before, and by the same rule.
			kept[name] = old
			continue
		case old != nil:
			result.Time = old.GetTime()
		case r.count >= r.max:
			r.untold++
			continue
		default:
			r.count++
		}
		kept[name] = result
		r.upserts[id.String()+name] = result
		delete(r.gone, id.String()+name)
	}
	if r.objects[id] = kept; len(kept) == 0 {
		delete(r.objects, id)
	}
}

// same says that a result says the same, whichever revision of the policies said it.
func same(a, b *linkv1.PolicyResult) bool {
	return a.GetAction() == b.GetAction() && a.GetResult() == b.GetResult() && a.GetExemption() == b.GetExemption()
}

// ofKind are the objects of a kind of which something was found.
func (r *results) ofKind(kind schema.GroupKind) map[content.ObjectID]bool {
	out := map[content.ObjectID]bool{}
	for id := range r.objects {
		if id.Group == kind.Group && id.Kind == kind.Kind {
			out[id] = true
		}
	}
	return out
}

func (r *results) dropKind(kind schema.GroupKind) {
	for id := range r.ofKind(kind) {
		r.put(id, nil)
	}
}

// report is what is still to be told; nil for nothing.
func (r *results) report(problems []string) *linkv1.PolicyReport {
	if r.untold > 0 {
		problems = append(problems, fmt.Sprintf("more than %d results: those beyond are not told", r.max))
	}
	if !r.full && len(r.upserts)+len(r.gone) == 0 && slices.Equal(problems, r.problems) {
		return nil
	}
	out := &linkv1.PolicyReport{Full: r.full, Problems: problems}
	for _, result := range r.upserts {
		out.Upserts = append(out.Upserts, result)
	}
	for _, key := range r.gone {
		out.Gone = append(out.Gone, key)
	}
	r.full, r.problems = false, problems
	clear(r.upserts)
	clear(r.gone)
	return out
}

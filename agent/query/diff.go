package query

import (
	"context"
	"reflect"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/periplus-fleet/periplus/agent/apply"
	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/owned"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// maxDiffs is how many objects one query compares: each is a read and a dry run.
const maxDiffs = 500

// serverFields of metadata change with every write, or are the server's own.
var serverFields = []string{"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"}

// diff says what an apply of the assigned revision would change, by a dry run of each object.
func (s *scope) diff(ctx context.Context, send func(*linkv1.QueryResult) error) error {
	compared := 0
	for _, t := range s.chosen() {
		if t.item != nil && t.item.Hook != nil && s.asked == nil {
			continue
		}
		if compared++; compared > maxDiffs {
			return send(&linkv1.QueryResult{Truncated: true})
		}
		one, err := s.compare(ctx, t)
		if err != nil {
			return err
		}
		if one.GetAction() == "none" && s.asked == nil {
			continue
		}
		if err := send(&linkv1.QueryResult{Diffs: []*linkv1.ObjectDiff{one}}); err != nil {
			return err
		}
	}
	return nil
}

func (s *scope) compare(ctx context.Context, t *target) (*linkv1.ObjectDiff, error) {
	out := &linkv1.ObjectDiff{Id: wireID(t.id)}
	unknown := func(err error) (*linkv1.ObjectDiff, error) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		out.Action, out.Message = "unknown", apply.Explain(err, s.client.Account, apply.Request{Bundle: s.bundle, ID: t.id, Sealed: t.secret()}).Error()
		return out, nil
	}
	live, err := s.live(ctx, t)
	if err != nil {
		return unknown(err)
	}
	out.Id = wireID(t.id)
	before := settled(live)
	switch {
	case t.item == nil && !t.recorded:
		out.Action, out.Message = "none", "it belongs to an object of the bundle, which is not applied by itself"
		return out, nil
	case t.item == nil && live == nil:
		out.Action = "none"
		return out, nil
	case t.item == nil:
		out.Action = "delete"
		out.Before, err = view(before, t.secret())
		return out, err
	case t.item.Sealed:
		out.Action, out.Message = "unknown", "it is sealed: only an apply opens it"
		return out, nil
	}
	after, err := s.dryRun(ctx, t, live)
	if err != nil {
		return unknown(err)
	}
	s.leaveIgnored(t, before, after)
	switch {
	case before == nil:
		out.Action = "create"
	case reflect.DeepEqual(before.Object, after.Object):
		out.Action = "none"
		return out, nil
	default:
		out.Action = "change"
	}
	if t.secret() {
		out.Message = "values are not shown"
	}
	if out.Before, err = view(before, t.secret()); err != nil {
		return nil, err
	}
	out.After, err = view(after, t.secret())
	return out, err
}

// dryRun is the object as an apply would leave it.
func (s *scope) dryRun(ctx context.Context, t *target, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	object, err := s.parse(ctx, t.item.Digest)
	if err != nil {
		return nil, err
	}
	apply.Prepare(object, t.resource, s.bundle, inventory.DefaultNamespace(s.manifest.DefaultNamespace))
	if live != nil {
		object.SetUID(live.GetUID())
	}
	after, err := s.client.DryApply(ctx, t.resource, object)
	if apierrors.IsNotFound(err) && live == nil {
		// Its namespace comes with the same apply.
		after, err = object, nil
	}
	return settled(after), err
}

// leaveIgnored takes fields that an apply leaves to others out of a comparison.
func (s *scope) leaveIgnored(t *target, before, after *unstructured.Unstructured) {
	if before == nil {
		return
	}
	pointers := apply.Ignored(s.entry.GetOptions().GetDriftIgnore(), t.id)
	for _, text := range append(append([]string{}, t.item.Once...), t.item.Ignores()...) {
		pointers = append(pointers, owned.ParsePointer(text))
	}
	for _, pointer := range apply.Folded(pointers, t.id) {
		text := "/" + strings.Join(escaped(pointer), "/")
		if value, ok := content.LookupPointer(before.Object, text); ok {
			// A pointer that leads nowhere in the other is a difference that shows itself.
			_ = content.SetPointer(after.Object, text, value)
		}
	}
}

func escaped(pointer owned.Pointer) []string {
	out := make([]string, 0, len(pointer))
	for _, segment := range pointer {
		out = append(out, strings.NewReplacer("~", "~0", "/", "~1").Replace(segment))
	}
	return out
}

// settled is an object without what the server alone writes.
func settled(object *unstructured.Unstructured) *unstructured.Unstructured {
	if object == nil {
		return nil
	}
	out := object.DeepCopy()
	delete(out.Object, "status")
	for _, field := range serverFields {
		unstructured.RemoveNestedField(out.Object, "metadata", field)
	}
	return out
}

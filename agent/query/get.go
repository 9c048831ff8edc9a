package query

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/periplus-fleet/periplus/agent/apply"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// get gives one object as it lives, as it is desired, and as it was last applied.
func (s *scope) get(ctx context.Context, send func(*linkv1.QueryResult) error) error {
	if s.asked == nil {
		return failf(codeInvalid, "name an object of the bundle")
	}
	t := s.asked
	live, err := s.live(ctx, t)
	if err != nil {
		return err
	}
	out := &linkv1.ObjectView{Id: wireID(t.id)}
	if out.Live, err = view(live, t.secret()); err != nil {
		return err
	}
	if t.item != nil {
		if out.Desired, err = s.content(ctx, t, t.item.Digest); err != nil {
			return err
		}
	}
	if t.recorded && t.record.Digest != "" {
		// Content that is no longer held is no longer known.
		out.LastApplied, _ = s.content(ctx, t, t.record.Digest)
	}
	return send(&linkv1.QueryResult{Objects: []*linkv1.ObjectView{out}})
}

// content is what a digest names, as people see it. What is sealed is opened for the apply alone.
func (s *scope) content(ctx context.Context, t *target, digest content.Digest) ([]byte, error) {
	if t.item != nil && t.item.Sealed {
		return view(&unstructured.Unstructured{Object: map[string]any{"kind": t.id.Kind, "sealed": masked}}, false)
	}
	object, err := s.parse(ctx, digest)
	if err != nil {
		return nil, err
	}
	return view(object, t.secret() || digest.Secret())
}

func (s *scope) parse(ctx context.Context, digest content.Digest) (*unstructured.Unstructured, error) {
	blobs, err := s.desired.Content(ctx, []content.Digest{digest})
	if err != nil {
		return nil, err
	}
	return apply.Parse(blobs[digest])
}

package gate

import (
	"cmp"
	"context"
	"fmt"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// Explained is what every policy has to do with one object.
type Explained struct {
	// ID with the namespace that the object will have, and where it comes from.
	ID         content.ObjectID
	Source     string
	Considered []engine.Considered
}

// Explain says of the chosen objects of a revision what Check would say, and why.
func Explain(ctx context.Context, req Request, chosen func(content.ObjectID) bool) ([]Explained, error) {
	reviewer, err := req.Snapshot.Reviewer(req.Cluster, req.Commit, cmp.Or(req.Point, engine.PointGate), req.Now)
	if err != nil {
		return nil, err
	}
	digests := make([]content.Digest, len(req.Manifest.Items))
	for i, item := range req.Manifest.Items {
		digests[i] = item.Digest
	}
	blobs, err := req.Load(ctx, digests)
	if err != nil {
		return nil, err
	}
	namespaces, err := namespacesOf(req.Manifest.Items, blobs)
	if err != nil {
		return nil, err
	}
	var out []Explained
	for _, item := range req.Manifest.Items {
		prepared, err := prepare(item, blobs[item.Digest], req.Manifest.DefaultNamespace, namespaces)
		if err != nil {
			return nil, err
		}
		if !chosen(prepared.ID) {
			continue
		}
		considered, err := reviewer.Consider(ctx, prepared)
		if err != nil {
			return nil, fmt.Errorf("cannot explain %s: %w", prepared.ID, err)
		}
		out = append(out, Explained{ID: prepared.ID, Source: item.Source, Considered: considered})
	}
	return out, nil
}

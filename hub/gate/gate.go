// Package gate lets policy decide which revision may reach which cluster. It stands between render and rollout: for each
// revision of a bundle on a cluster it reviews every object with the policies in force there. A denial holds the bundle on
// that cluster at its last good revision; it removes nothing.
//
// Verdicts are shared: an object that looks the same to a policy is evaluated once, for however many clusters.
package gate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// Config of a gate; the zero value is usable.
type Config struct {
	// CacheSize is how many verdicts are kept. Default 100000.
	CacheSize int
	// Workers is how many objects are reviewed at a time, over all checks. Default GOMAXPROCS.
	Workers int
}

// Gate checks revisions. It is safe for concurrent use.
type Gate struct {
	cache   *verdicts
	workers chan struct{}
}

// New makes a gate.
func New(cfg Config) *Gate {
	if cfg.CacheSize <= 0 {
		cfg.CacheSize = 100_000
	}
	if cfg.Workers <= 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	return &Gate{cache: newVerdicts(cfg.CacheSize), workers: make(chan struct{}, cfg.Workers)}
}

// Request is one revision for one cluster.
type Request struct {
	Snapshot *engine.Snapshot
	Cluster  engine.Cluster
	Bundle   delivery.Key
	Commit   string
	Manifest content.Manifest
	// Load returns the content of objects of the manifest.
	Load func(ctx context.Context, digests []content.Digest) (map[content.Digest][]byte, error)
	Now  time.Time
	// Point at which policies are asked; "" is the gate.
	Point string
}

// Verdict on a revision.
type Verdict struct {
	Denied bool
	// Reason for a denial, in one line: policy, object, message and the rule's file:line; how many more there are.
	Reason string
	// Results of all findings, in the order of the manifest.
	Results []delivery.PolicyResult
}

// Stats count verdicts since the start.
type Stats struct {
	// Evaluations that asked a policy, and Hits that an earlier answer served.
	Evaluations, Hits uint64
}

// Stats of the gate.
func (g *Gate) Stats() Stats {
	return Stats{Evaluations: g.cache.misses.Load(), Hits: g.cache.hits.Load()}
}

// Check reviews a revision. An error says that there is no verdict: the revision must not pass.
func (g *Gate) Check(ctx context.Context, req Request) (Verdict, error) {
	if len(req.Snapshot.Policies()) == 0 || len(req.Manifest.Items) == 0 {
		return Verdict{}, nil
	}
	reviewer, err := req.Snapshot.Reviewer(req.Cluster, req.Commit, cmp.Or(req.Point, engine.PointGate), req.Now)
	if err != nil {
		return Verdict{}, fmt.Errorf("cannot check bundle %q for cluster %q: %w", req.Bundle, req.Cluster.Name, err)
	}
	digests := make([]content.Digest, len(req.Manifest.Items))
	for i, item := range req.Manifest.Items {
		digests[i] = item.Digest
	}
	blobs, err := req.Load(ctx, digests)
	if err != nil {
		return Verdict{}, fmt.Errorf("cannot load the objects of bundle %q: %w", req.Bundle, err)
	}
	namespaces, err := namespacesOf(req.Manifest.Items, blobs)
	if err != nil {
		return Verdict{}, err
	}
	findings := make([]reviewed, len(req.Manifest.Items))
	group, ctx := errgroup.WithContext(ctx)
	for i, item := range req.Manifest.Items {
		select {
		case g.workers <- struct{}{}:
		case <-ctx.Done():
			return Verdict{}, cmpErr(group.Wait(), context.Cause(ctx))
		}
		group.Go(func() error {
			defer func() { <-g.workers }()
			var err error
			findings[i], err = g.review(ctx, reviewer, item, blobs[item.Digest], req.Manifest.DefaultNamespace, namespaces)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Verdict{}, fmt.Errorf("cannot check bundle %q for cluster %q: %w", req.Bundle, req.Cluster.Name, err)
	}
	return judge(req.Manifest.Items, findings), nil
}

func cmpErr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// reviewed is what was found of an object, and the object with the namespace that it will have.
type reviewed struct {
	id       content.ObjectID
	findings []engine.Finding
}

func (g *Gate) review(ctx context.Context, reviewer *engine.Reviewer, item content.Item, blob []byte, namespace string, namespaces map[string]map[string]any) (reviewed, error) {
	prepared, err := prepare(item, blob, namespace, namespaces)
	if err != nil {
		return reviewed{}, err
	}
	findings, err := reviewer.Review(ctx, prepared, string(item.Digest), g.cache)
	return reviewed{id: prepared.ID, findings: findings}, err
}

// prepare an object of a revision for review.
func prepare(item content.Item, blob []byte, namespace string, namespaces map[string]map[string]any) (*engine.Object, error) {
	object, err := decode(item, blob)
	if err != nil {
		return nil, err
	}
	convert := engine.Prepare
	if item.Digest.Secret() {
		convert = engine.PrepareSecret
	}
	prepared, err := convert(object, namespace)
	if err == nil {
		prepared.InNamespace(namespaces[prepared.ID.Namespace])
	}
	return prepared, err
}

func decode(item content.Item, blob []byte) (map[string]any, error) {
	if blob == nil {
		return nil, fmt.Errorf("the content of %s is missing", item.ObjectID)
	}
	decoder := json.NewDecoder(bytes.NewReader(blob))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("cannot decode %s: %w", item.ObjectID, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("cannot decode %s: more than one document", item.ObjectID)
	}
	return object, nil
}

// namespacesOf are the Namespaces among the objects, by name: the same revision makes them, so their labels are known before
// the cluster has them.
func namespacesOf(items []content.Item, blobs map[content.Digest][]byte) (map[string]map[string]any, error) {
	found := map[string]map[string]any{}
	for _, item := range items {
		if item.Group != "" || item.Kind != "Namespace" {
			continue
		}
		object, err := decode(item, blobs[item.Digest])
		if err != nil {
			return nil, err
		}
		found[item.Name] = object
	}
	return found, nil
}

// judge makes the verdict of the findings of each item.
func judge(items []content.Item, findings []reviewed) Verdict {
	var v Verdict
	denials := 0
	for i, item := range items {
		for _, f := range findings[i].findings {
			place := fmt.Sprintf("%s:%d", f.File, f.Line)
			v.Results = append(v.Results, delivery.PolicyResult{Policy: f.Policy, Action: string(f.Action), Result: f.Result,
				Object: item.ObjectID, Message: f.Message, Source: item.Source, PolicySource: place, Exemption: f.Exemption})
			if !f.Denies() {
				continue
			}
			if denials++; denials == 1 {
				v.Denied = true
				v.Reason = f.Sentence(findings[i].id)
			}
		}
	}
	if denials > 1 {
		v.Reason += fmt.Sprintf(" and %d more", denials-1)
	}
	return v
}

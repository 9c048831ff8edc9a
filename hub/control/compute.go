package control

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/gate"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/hub/rollout"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// Defaults of what a bundle may leave out.
const (
	pruneObjects = 10
	prunePercent = 25
)

// compute takes a pair through inputs, render and gate. A mistake of the user is an outcome; an error is one of the store's or
// of time, and is tried again.
func (p *planner) compute(ctx context.Context, in planInput, bundle plannedBundle, cluster target.Cluster, match target.Match) (outcome, error) {
	inputs, err := p.resolver.Inputs(bundle.BundleDecl, match, cluster)
	if err != nil {
		return outcome{reason: rollout.ReasonTargetError, message: err.Error()}, nil
	}
	request := render.Input{Bundle: bundle.BundleDecl, Tree: bundle.Tree, Inputs: inputs, ClusterVersion: cluster.Version}
	commit := bundle.Commit
	if inputs.Ref != nil {
		ref := bundle.Refs[refText(*inputs.Ref)]
		if ref.tree == nil {
			cause := ref.err
			if cause == nil {
				cause = errors.New("it was not fetched yet")
			}
			return outcome{reason: rollout.ReasonTargetError, message: fmt.Sprintf("target %q: cannot read its ref: %v", match.Name, cause)}, nil
		}
		request.Tree, commit = ref.tree, ref.commit
	}
	variant, err := p.renderer.Render(ctx, request)
	if ctx.Err() != nil {
		return outcome{}, ctx.Err()
	}
	if err != nil {
		return outcome{reason: rollout.ReasonRenderFailed, message: err.Error()}, nil
	}
	revision, err := p.store.PutRevision(ctx, variant.Manifest, variant.Blobs)
	if err != nil {
		return outcome{}, err
	}
	verdict, err := p.gate.Check(ctx, gate.Request{Snapshot: in.Policies, Cluster: engineCluster(cluster), Bundle: bundle.Key, Commit: commit,
		Manifest: variant.Manifest, Now: in.Now,
		Load: func(ctx context.Context, digests []content.Digest) (map[content.Digest][]byte, error) {
			out := make(map[content.Digest][]byte, len(digests))
			for _, digest := range digests {
				out[digest] = variant.Blobs[digest]
			}
			return out, nil
		}})
	if err != nil {
		return outcome{}, err
	}
	result := outcome{results: verdict.Results, target: delivery.Assignment{Revision: revision, Options: options(bundle.Spec, bundle.Key),
		RequiredCapabilities: variant.Required, Commit: commit, TargetName: match.Name}}
	if verdict.Denied {
		result.denied = verdict.Reason
	}
	return result, nil
}

func engineCluster(cluster target.Cluster) engine.Cluster {
	return engine.Cluster{Name: cluster.Name, Namespace: cluster.Namespace, Labels: cluster.Labels, Variables: cluster.Variables, Version: cluster.Version}
}

// options say how the agent treats the bundle.
func options(spec v1alpha1.BundleSpec, key delivery.Key) *linkv1.Options {
	out := &linkv1.Options{ServiceAccountName: spec.ServiceAccountName, DefaultNamespace: spec.Namespace, DriftMode: string(spec.Drift.Mode),
		OnFailure: string(spec.OnFailure), PruneBudgetObjects: pruneObjects, PruneBudgetPercent: prunePercent}
	if out.GetDriftMode() == "" {
		out.DriftMode = string(v1alpha1.DriftCorrect)
	}
	if out.GetOnFailure() == "" {
		out.OnFailure = string(v1alpha1.FailureHold)
	}
	for _, rule := range spec.Drift.Ignore {
		out.DriftIgnore = append(out.DriftIgnore, &linkv1.DriftIgnore{Group: rule.Group, Kind: rule.Kind, Namespace: rule.Namespace,
			Name: rule.Name, Pointers: rule.Pointers})
	}
	if budget := spec.Prune.Budget; budget != nil {
		if budget.Objects != nil {
			out.PruneBudgetObjects = *budget.Objects
		}
		if budget.Percent != nil {
			out.PruneBudgetPercent = *budget.Percent
		}
	}
	if spec.Health.Timeout != nil {
		out.HealthTimeout = durationpb.New(spec.Health.Timeout.Duration)
	}
	namespace := string(key)[:len(key)-len(bundleName(key))]
	for _, dependency := range spec.DependsOn {
		out.DependsOn = append(out.DependsOn, namespace+dependency.Bundle)
	}
	return out
}

package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/chart"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/gate"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/hub/rollout"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/hub/target/expr"
)

// Defaults of what a bundle may leave out.
const (
	pruneObjects = 10
	prunePercent = 25
)

// transient is an error of what should render, not of what is rendered: a plugin that crashed or hangs.
type transient interface {
	error
	Transient() bool
}

// faultAgain is when a rendering is tried again that a plugin failed at.
const faultAgain = 10 * time.Second

// charts fetches the charts that bundles name in repositories; chart.Charts is one.
type charts interface {
	ForBundle(ctx context.Context, bundle fleet.BundleDecl, source *v1alpha1.HelmSource, auth chart.Auth) (files fs.FS, id, version string, err error)
}

// compute takes a pair through inputs, render and gate. A mistake of the user is an outcome; an error is one of the store's or
// of time, and is tried again.
func (w *planning) compute(ctx context.Context, bundle plannedBundle, cluster target.Cluster, match target.Match) (outcome, error) {
	key := pair{cluster.UID, bundle.Key}
	delete(w.again, key)
	inputs, err := w.resolve().Inputs(bundle.BundleDecl, match, cluster)
	if err != nil {
		return outcome{reason: rollout.ReasonTargetError, message: err.Error()}, nil
	}
	request := render.Input{Bundle: bundle.BundleDecl, Tree: bundle.Tree, Inputs: inputs, ClusterVersion: cluster.Version, ClusterUID: cluster.UID,
		APIVersions: w.facts[cluster.UID].APIVersions, Secret: inputs.Secret}
	if request.ClusterVersion == "" {
		request.ClusterVersion = w.facts[cluster.UID].KubernetesVersion
	}
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
	if err := w.chart(ctx, bundle, &request); err != nil {
		if ctx.Err() != nil {
			return outcome{}, ctx.Err()
		}
		var later *chart.Unavailable
		if errors.As(err, &later) {
			w.again[key] = later.Again
		}
		return outcome{reason: rollout.ReasonRenderFailed, message: fmt.Sprintf("%s:%d: spec.source.helm: %v", bundle.File, bundle.LineOf("spec.source.helm"), err)}, nil
	}
	variant, err := w.renderer.Render(ctx, request)
	if ctx.Err() != nil {
		return outcome{}, ctx.Err()
	}
	if err != nil {
		if fault := (transient)(nil); errors.As(err, &fault) && fault.Transient() {
			w.again[key] = w.in.Now.Add(faultAgain)
		}
		return outcome{reason: rollout.ReasonRenderFailed, message: err.Error()}, nil
	}
	return w.rendered(ctx, bundle, cluster, match, variant, commit)
}

// rendered writes the revision and lets the gate see it.
func (w *planning) rendered(ctx context.Context, bundle plannedBundle, cluster target.Cluster, match target.Match, variant *render.Variant,
	commit string,
) (outcome, error) {
	revision, err := w.putRevision(ctx, variant)
	if err != nil {
		return outcome{}, err
	}
	required := variant.Required
	treatment := bundle.options
	if namespace := variant.Manifest.DefaultNamespace; namespace != treatment.GetDefaultNamespace() {
		// The bundle's namespace is an expression.
		treatment = proto.CloneOf(treatment)
		treatment.DefaultNamespace = namespace
	}
	if len(treatment.GetDependsOnObjects()) > 0 {
		required = append([]string{content.CapabilityObjectDependencies}, required...)
	}
	result := outcome{variant: variant.Key, base: variant.BaseKey, kinds: kindsOf(variant.Manifest), warnings: distinct(variant.Warnings),
		target: delivery.Assignment{Revision: revision, Options: treatment, RequiredCapabilities: required, Commit: commit, TargetName: match.Name}}
	return result, w.judge(ctx, bundle, cluster, variant, &result)
}

// judge lets the gate see what a pair was rendered to.
func (w *planning) judge(ctx context.Context, bundle plannedBundle, cluster target.Cluster, variant *render.Variant, result *outcome) error {
	verdict, err := w.gate.Check(ctx, gate.Request{Snapshot: w.declared.policies, Cluster: engineCluster(cluster), Bundle: bundle.Key,
		Commit: result.target.Commit, Manifest: variant.Manifest, Now: w.in.Now,
		Load: func(_ context.Context, digests []content.Digest) (map[content.Digest][]byte, error) {
			out := make(map[content.Digest][]byte, len(digests))
			for _, digest := range digests {
				out[digest] = variant.Judged(digest)
			}
			return out, nil
		}})
	if err != nil {
		return err
	}
	result.results, result.denied = verdict.Results, ""
	if verdict.Denied {
		result.denied = verdict.Reason
	}
	return nil
}

// putAgain is how long a revision that was written counts as there: the store keeps what nobody names for longer.
const putAgain = 30 * time.Minute

func (w *planning) putRevision(ctx context.Context, variant *render.Variant) (content.Digest, error) {
	if at, done := w.put[variant.Revision]; done && w.in.Now.Sub(at) < putAgain {
		return variant.Revision, nil
	}
	revision, err := w.store.PutRevision(ctx, variant.Manifest, variant.Blobs)
	if err == nil {
		w.put[revision] = w.in.Now
	}
	return revision, err
}

// chart fetches what the bundle's source names in a repository.
func (w *planning) chart(ctx context.Context, bundle plannedBundle, request *render.Input) error {
	source := request.Inputs.Source
	if source == nil || source.Helm == nil || w.charts == nil {
		if source != nil && source.Helm != nil && source.Helm.Chart == "" {
			return errors.New("this hub fetches no charts")
		}
		return nil
	}
	auth, err := w.chartAuth(ctx, bundle, source.Helm)
	if err != nil {
		return err
	}
	content := bundle.BundleDecl
	if request.Tree != bundle.Tree {
		content.Tree = request.Tree
		if content.TreeHash, err = fleet.ContentHash(request.Tree, bundle.Path, v1alpha1.BundleSpec{Source: source}); err != nil {
			return err
		}
	}
	request.Chart, request.ChartID, request.ChartVersion, err = w.charts.ForBundle(ctx, content, source.Helm, auth)
	return err
}

func (w *planning) chartAuth(ctx context.Context, bundle plannedBundle, source *v1alpha1.HelmSource) (chart.Auth, error) {
	if source.SecretRef == nil {
		return chart.Auth{}, nil
	}
	if w.values == nil {
		return chart.Auth{}, errors.New("this hub reads no Secrets")
	}
	data, err := w.values.Secret(ctx, w.in.Namespace, source.SecretRef.Name)
	if err != nil {
		return chart.Auth{}, fmt.Errorf("cannot read secret %q of spec.source.helm.secretRef: %w", source.SecretRef.Name, err)
	}
	auth, err := chart.AuthFrom(data)
	if err != nil {
		return chart.Auth{}, fmt.Errorf("cannot use secret %q of spec.source.helm.secretRef: %w", source.SecretRef.Name, err)
	}
	return auth, nil
}

func (p *planner) resolve() *target.Resolver {
	if p.values == nil {
		return p.resolver
	}
	return p.resolver.With(p.values)
}

// seesOf a cluster is the text of what policies see of it.
func (w *planning) seesOf(cluster target.Cluster) (string, error) {
	sees, known := w.sees[cluster.UID]
	if !known {
		var err error
		if sees, err = w.declared.policies.Sees(engineCluster(cluster), w.in.Now); err != nil {
			return "", err
		}
		w.sees[cluster.UID] = sees
	}
	return sees, nil
}

// inputsKey covers everything that what a pair renders to depends on, and nothing else: a cluster's label that the bundle does
// not look at is not in it.
func (w *planning) inputsKey(ctx context.Context, bundle plannedBundle, match target.Match, cluster target.Cluster) (string, error) {
	ref := ""
	if match.Target.Ref != nil {
		ref = bundle.Refs[refText(*match.Target.Ref)].commit
	}
	values := ""
	if w.values != nil {
		values = w.values.Digest(w.in.Namespace, bundle.references)
	}
	facts := ""
	if bundle.asksFacts() {
		if _, known := w.facts[cluster.UID]; !known {
			reported, err := w.store.Facts(ctx, cluster.UID)
			if err != nil {
				return "", err
			}
			w.facts[cluster.UID] = reported
		}
		data, err := json.Marshal(w.facts[cluster.UID])
		if err != nil {
			return "", err
		}
		facts = string(data)
	}
	data, err := json.Marshal(struct {
		Content, Ref, Values, Facts string
		Match                       int
		Overlays                    []int
		Cluster                     map[string]any
	}{bundle.signature, ref, values, facts, match.Index, match.Overlays, target.Facts(cluster, w.index.Reads(bundle.Key))})
	if err != nil {
		return "", fmt.Errorf("cannot compare inputs of bundle %q on cluster %q: %w", bundle.Key, cluster.Name, err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// reads are the fields of a cluster that a bundle's outcome depends on, besides what policies read.
func (p *planner) reads(bundle plannedBundle) expr.Reads {
	reads := p.resolver.Reads(bundle.Spec)
	if bundle.asksFacts() {
		reads = reads.Union(expr.Reads{Fields: []string{"version"}})
	}
	return reads
}

// asksFacts says whether the bundle's renderer may ask what the cluster is able to.
func (b plannedBundle) asksFacts() bool {
	asks := func(source *v1alpha1.BundleSource) bool {
		return source != nil && (source.Helm != nil || source.Jsonnet != nil || source.Plugin != nil)
	}
	for _, t := range b.Spec.Targets {
		if asks(t.Source) {
			return true
		}
	}
	return asks(b.Spec.Source)
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
	for _, dependency := range spec.DependsOn {
		switch {
		case dependency.Object != nil:
			out.DependsOnObjects = append(out.DependsOnObjects, &linkv1.ObjectId{Group: dependency.Object.Group, Kind: dependency.Object.Kind,
				Namespace: dependency.Object.Namespace, Name: dependency.Object.Name})
		case dependency.ClusterSelector == nil:
			out.DependsOn = append(out.DependsOn, string(sibling(key, dependency.Bundle)))
		}
	}
	return out
}

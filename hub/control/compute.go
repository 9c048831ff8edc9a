package control

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	"github.com/periplus-fleet/periplus/hub/produce"
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

// compute takes a pair through inputs, render and gate. A mistake of the user is an outcome; an error is one of the store's or
// of time, and is tried again.
func (w *planning) compute(ctx context.Context, bundle plannedBundle, cluster target.Cluster, match target.Match) (outcome, error) {
	key := pair{cluster.UID, bundle.Key}
	delete(w.again, key)
	stages := produce.Stages{Resolver: w.resolve(), Renderer: w.renderer, Charts: w.charts, Secret: w.secret}
	facts, commit := w.facts[cluster.UID], bundle.Commit
	made, err := stages.Render(ctx, produce.Pair{Bundle: bundle.BundleDecl, Cluster: cluster, Match: match, KubeVersion: facts.KubernetesVersion,
		APIVersions: facts.APIVersions, Ref: func(named v1alpha1.GitRef) (fleet.Tree, error) {
			ref := bundle.Refs[refText(named)]
			if ref.tree == nil {
				return nil, cmp.Or(ref.err, errors.New("it was not fetched yet"))
			}
			commit = ref.commit
			return ref.tree, nil
		}})
	if ctx.Err() != nil {
		return outcome{}, ctx.Err()
	}
	if err != nil {
		return w.failed(key, bundle, match, err), nil
	}
	return w.rendered(ctx, bundle, cluster, match, made.Variant, commit)
}

// failed says why a pair could not be rendered, and when to try again what was not its own mistake.
func (w *planning) failed(key pair, bundle plannedBundle, match target.Match, err error) outcome {
	var stage *produce.Error
	if !errors.As(err, &stage) {
		return outcome{reason: rollout.ReasonRenderFailed, message: err.Error()}
	}
	switch stage.Stage {
	case produce.StageInputs:
		return outcome{reason: rollout.ReasonTargetError, message: err.Error()}
	case produce.StageRef:
		return outcome{reason: rollout.ReasonTargetError, message: fmt.Sprintf("target %q: cannot read its ref: %v", match.Name, err)}
	case produce.StageChart:
		var later *chart.Unavailable
		if errors.As(err, &later) {
			w.again[key] = later.Again
		}
		return outcome{reason: rollout.ReasonRenderFailed, message: fmt.Sprintf("%s:%d: spec.source.helm: %v", bundle.File, bundle.LineOf("spec.source.helm"), err)}
	default:
		if fault := (transient)(nil); errors.As(err, &fault) && fault.Transient() {
			w.again[key] = w.in.Now.Add(faultAgain)
		}
		return outcome{reason: rollout.ReasonRenderFailed, message: err.Error()}
	}
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
	if treatment.GetOnFailure() == string(v1alpha1.FailureRollback) {
		required = append([]string{content.CapabilityRollback}, required...)
	}
	if namesManagers(treatment) {
		required = append([]string{content.CapabilityDriftManagers}, required...)
	}
	result := outcome{variant: variant.Key, base: variant.BaseKey, kinds: kindsOf(variant.Manifest), warnings: distinct(variant.Warnings),
		target: delivery.Assignment{Revision: revision, Options: treatment, RequiredCapabilities: required, Commit: commit, TargetName: match.Name}}
	return result, w.judge(ctx, bundle, cluster, variant, &result)
}

// namesManagers says that a rule of drift needs an agent that tells changes by who made them.
func namesManagers(options *linkv1.Options) bool {
	return slices.ContainsFunc(options.GetDriftIgnore(), func(rule *linkv1.DriftIgnore) bool { return len(rule.GetManagers()) > 0 })
}

// judge lets the gate see what a pair was rendered to.
func (w *planning) judge(ctx context.Context, bundle plannedBundle, cluster target.Cluster, variant *render.Variant, result *outcome) error {
	verdict, err := w.gate.Check(ctx, gate.Request{Snapshot: w.declared.policies, Cluster: gate.Cluster(cluster), Bundle: bundle.Key,
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

// secret is the data of a Secret of the hub's API that a chart repository asks for.
func (w *planning) secret(ctx context.Context, name string) (map[string][]byte, error) {
	if w.values == nil {
		return nil, errors.New("this hub reads no Secrets")
	}
	return w.values.Secret(ctx, w.in.Namespace, name)
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
		if sees, err = w.declared.policies.Sees(gate.Cluster(cluster), w.in.Now); err != nil {
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
		OnFailure: string(spec.OnFailure), PruneBudgetObjects: pruneObjects, PruneBudgetPercent: prunePercent,
		Orphan: spec.Prune.OnRemoval == v1alpha1.RemovalOrphan}
	if out.GetDriftMode() == "" {
		out.DriftMode = string(v1alpha1.DriftCorrect)
	}
	if out.GetOnFailure() == "" {
		out.OnFailure = string(v1alpha1.FailureHold)
	}
	for _, rule := range spec.Drift.Ignore {
		out.DriftIgnore = append(out.DriftIgnore, &linkv1.DriftIgnore{Group: rule.Group, Kind: rule.Kind, Namespace: rule.Namespace,
			Name: rule.Name, Pointers: rule.Pointers, Managers: rule.Managers})
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

// Package produce takes one cluster x bundle pair through the stages that make a variant: the inputs that target gives it, the
// chart that its source names, and render. The hub's planner and what runs without a hub do it by the same code, so that both
// come to the same.
package produce

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/chart"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/hub/target"
)

// Stages are what a pair goes through.
type Stages struct {
	Resolver *target.Resolver
	Renderer *render.Renderer
	// Charts fetches the charts that bundles name in repositories; nil refuses them.
	Charts Charts
	// Secret is the data of a Secret with a chart repository's credentials.
	Secret func(ctx context.Context, name string) (map[string][]byte, error)
}

// Charts is chart.Charts.
type Charts interface {
	ForBundle(ctx context.Context, bundle fleet.BundleDecl, source *v1alpha1.HelmSource, auth chart.Auth) (files fs.FS, id, version string, err error)
}

// Pair that a target matches.
type Pair struct {
	Bundle  fleet.BundleDecl
	Cluster target.Cluster
	Match   target.Match
	// KubeVersion stands in where the cluster's declaration names none; APIVersions are those that it serves.
	KubeVersion string
	APIVersions []string
	// Ref opens the content of targets that take it from elsewhere.
	Ref func(v1alpha1.GitRef) (fleet.Tree, error)
}

// Rendered pair.
type Rendered struct {
	Variant *render.Variant
	// Chart is the version of a chart that was fetched; "" where none was.
	Chart string
}

// Stage that a pair fails at.
type Stage string

// The stages.
const (
	StageInputs Stage = "inputs"
	StageRef    Stage = "ref"
	StageChart  Stage = "chart"
	StageRender Stage = "render"
)

// Error of one stage. Its text is the cause's own.
type Error struct {
	Stage Stage
	Err   error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Render takes a pair through the stages. Errors are of type *Error.
func (s Stages) Render(ctx context.Context, p Pair) (Rendered, error) {
	in, err := s.Input(ctx, p)
	if err != nil {
		return Rendered{}, err
	}
	variant, err := s.Renderer.Render(ctx, in)
	if err != nil {
		return Rendered{}, &Error{StageRender, err}
	}
	return Rendered{Variant: variant, Chart: in.ChartVersion}, nil
}

// Input is what the pair is rendered of. After an error of StageChart all of it but the chart is there.
func (s Stages) Input(ctx context.Context, p Pair) (render.Input, error) {
	inputs, err := s.Resolver.Inputs(p.Bundle, p.Match, p.Cluster)
	if err != nil {
		return render.Input{}, &Error{StageInputs, err}
	}
	in := render.Input{Bundle: p.Bundle, Tree: p.Bundle.Tree, Inputs: inputs, ClusterVersion: p.Cluster.Version, ClusterUID: p.Cluster.UID,
		APIVersions: p.APIVersions, Secret: inputs.Secret}
	if in.ClusterVersion == "" {
		in.ClusterVersion = p.KubeVersion
	}
	if inputs.Ref != nil {
		if in.Tree, err = p.Ref(*inputs.Ref); err != nil {
			return render.Input{}, &Error{StageRef, err}
		}
	}
	if err := s.chart(ctx, &in); err != nil {
		return in, &Error{StageChart, err}
	}
	return in, nil
}

// chart fetches what the source names in a repository, by the content that is rendered.
func (s Stages) chart(ctx context.Context, in *render.Input) error {
	if in.Inputs.Source == nil || in.Inputs.Source.Helm == nil {
		return nil
	}
	source := in.Inputs.Source.Helm
	if s.Charts == nil {
		if source.Chart == "" {
			return errors.New("this hub fetches no charts")
		}
		return nil
	}
	auth, err := s.auth(ctx, source)
	if err != nil {
		return err
	}
	bundle := in.Bundle
	if in.Tree != bundle.Tree {
		bundle.Tree = in.Tree
		if bundle.TreeHash, err = fleet.ContentHash(in.Tree, bundle.Path, v1alpha1.BundleSpec{Source: in.Inputs.Source}); err != nil {
			return err
		}
	}
	in.Chart, in.ChartID, in.ChartVersion, err = s.Charts.ForBundle(ctx, bundle, source, auth)
	return err
}

func (s Stages) auth(ctx context.Context, source *v1alpha1.HelmSource) (chart.Auth, error) {
	if source.SecretRef == nil {
		return chart.Auth{}, nil
	}
	data, err := s.Secret(ctx, source.SecretRef.Name)
	if err != nil {
		return chart.Auth{}, fmt.Errorf("cannot read secret %q of spec.source.helm.secretRef: %w", source.SecretRef.Name, err)
	}
	auth, err := chart.AuthFrom(data)
	if err != nil {
		return chart.Auth{}, fmt.Errorf("cannot use secret %q of spec.source.helm.secretRef: %w", source.SecretRef.Name, err)
	}
	return auth, nil
}

package offline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/hub/produce"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/hub/target/layer"
)

// Explained are the values that a bundle has for a cluster.
type Explained struct {
	Origins []target.ValueOrigin
	Match   target.Match
	// NoChart says why the values of the chart itself are not among them.
	NoChart error
}

// Explain gives the values that a bundle has for a cluster, with where each was set.
func (s *Stages) Explain(ctx context.Context, f *Fleet, pair Pair) (Explained, error) {
	match, ok, err := target.MatchBundle(pair.Bundle, f.Groups, pair.Cluster)
	if err != nil {
		return Explained{}, err
	}
	if !ok {
		return Explained{}, errors.New(match.Why)
	}
	out := Explained{Match: match}
	in, err := s.stages().Input(ctx, s.matched(f, pair, match))
	var failed *produce.Error
	switch {
	case errors.As(err, &failed) && failed.Stage == produce.StageChart:
		out.NoChart = failed.Err
	case err != nil:
		return Explained{}, placed(pair.Bundle, match, err)
	}
	bundle := pair.Bundle
	bundle.Tree = in.Tree
	var chart []layer.Layer
	if out.NoChart == nil {
		if chart, err = chartValues(in); err != nil {
			return Explained{}, err
		}
	}
	out.Origins, err = s.resolver.Explain(bundle, match, pair.Cluster, chart...)
	return out, err
}

// chartValues are the chart's own, which are called by where they stand: in the repository, or in name@version.
func chartValues(in render.Input) ([]layer.Layer, error) {
	if in.Inputs.Source == nil || in.Inputs.Source.Helm == nil {
		return nil, nil
	}
	source := in.Inputs.Source.Helm
	var files fs.FS = in.Tree
	beside := path.Join(in.Bundle.Path, source.Chart)
	root, label := beside, beside
	if in.Chart != nil {
		files, root = in.Chart, "."
		if source.Chart == "" {
			label = chartName(in.Chart) + "@" + in.ChartVersion
		}
	}
	data, err := fs.ReadFile(files, path.Join(root, "values.yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the values of chart %q: %w", label, err)
	}
	return target.FileLayers(path.Join(label, "values.yaml"), data)
}

// chartName is what a chart calls itself.
func chartName(files fs.FS) string {
	var read struct {
		Name string `json:"name"`
	}
	data, err := fs.ReadFile(files, "Chart.yaml")
	if err != nil || yaml.Unmarshal(data, &read) != nil || read.Name == "" {
		return "chart"
	}
	return read.Name
}

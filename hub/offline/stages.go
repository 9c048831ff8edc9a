package offline

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/periplus-fleet/periplus/hub/chart"
	"github.com/periplus-fleet/periplus/hub/chart/record"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/produce"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/hub/render/generated"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/plugins/sdk/decrypter"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// GeneratedOnce stands where a hub keeps what the first rendering made up.
const GeneratedOnce = "(generated once)"

// StagesConfig is what the stages run with.
type StagesConfig struct {
	// ChartFolder keeps fetched charts.
	ChartFolder string
	// Renderers by name; nil is render.Builtin().
	Renderers []renderer.Renderer
	Decrypter decrypter.Decrypter
	// Objects of the hub's API; nil makes references to them errors.
	Objects Objects
	// KubeVersion of clusters whose declaration names none, and APIVersions (group/version/Kind) of all: what agents report.
	KubeVersion string
	APIVersions []string
	// Unmasked shows what renderers say of secret inputs.
	Unmasked bool
}

// Stages of the hub. They are safe for concurrent use, and render nothing twice.
type Stages struct {
	cfg      StagesConfig
	resolver *target.Resolver
	renderer *render.Renderer
	charts   *chart.Charts
}

// NewStages makes stages. Their key for the content of Secrets is new each time, so that no digest of one is an oracle.
func NewStages(cfg StagesConfig) (*Stages, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	resolver, err := target.NewResolver()
	if err != nil {
		return nil, err
	}
	if cfg.Objects != nil {
		resolver = resolver.With(cfg.Objects)
	}
	charts, err := chart.New(chart.Config{Dir: cfg.ChartFolder, Records: &record.Memory{}, Wait: chart.Patience})
	if err != nil {
		return nil, err
	}
	made, err := render.New(render.Config{Renderers: cfg.Renderers, SecretKey: key, Decrypter: cfg.Decrypter, Generated: placeholders{},
		Unmasked: cfg.Unmasked})
	if err != nil {
		return nil, err
	}
	cfg.APIVersions = slices.Sorted(slices.Values(cfg.APIVersions))
	return &Stages{cfg: cfg, resolver: resolver, renderer: made, charts: charts}, nil
}

// Stats of the work done.
func (s *Stages) Stats() render.Stats { return s.renderer.Stats() }

// Result of rendering pairs, each list by bundle, then cluster.
type Result struct {
	Deliveries []Delivery
	Failures   []Failure
	// Skipped are pairs that no target matches.
	Skipped []Skipped
}

// Delivery is what a cluster gets of a bundle.
type Delivery struct {
	Pair
	Target  string
	Variant *render.Variant
	// Chart is the version of a chart that was resolved now; the hub keeps the one that it recorded.
	Chart string
}

// Failure of one pair.
type Failure struct {
	Pair
	Err error
}

// Error begins with file and line of what is at fault, else of the bundle's source.
func (f Failure) Error() string {
	var inFile *renderer.Error
	var ofTarget *target.Error
	switch {
	case errors.As(f.Err, &ofTarget):
		return f.Err.Error()
	case errors.As(f.Err, &inFile):
		return inFile.Error()
	default:
		return fmt.Sprintf("%s:%d: %v", f.Bundle.File, f.Bundle.LineOf("spec.source"), f.Err)
	}
}

func (f Failure) Unwrap() error { return f.Err }

// Skipped pair, with the reason.
type Skipped struct {
	Pair
	Why string
}

// Render takes pairs through target and render. progress is told how many of them are done; it may be nil. The error is ctx's.
func (s *Stages) Render(ctx context.Context, f *Fleet, pairs []Pair, progress func(done, total int)) (*Result, error) {
	type outcome struct {
		delivery Delivery
		why      string
		err      error
	}
	outcomes := make([]outcome, len(pairs))
	var done atomic.Int64
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, pair := range pairs {
		group.Go(func() error {
			out := &outcomes[i]
			out.delivery, out.why, out.err = s.pair(inner, f, pair)
			if progress != nil {
				progress(int(done.Add(1)), len(pairs))
			}
			return inner.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	result := &Result{}
	for i, out := range outcomes {
		switch {
		case out.err != nil:
			result.Failures = append(result.Failures, Failure{pairs[i], out.err})
		case out.why != "":
			result.Skipped = append(result.Skipped, Skipped{pairs[i], out.why})
		default:
			result.Deliveries = append(result.Deliveries, out.delivery)
		}
	}
	return result, nil
}

// pair is rendered as the hub's planner does; why says that the bundle does not go there.
func (s *Stages) pair(ctx context.Context, f *Fleet, pair Pair) (delivery Delivery, why string, err error) {
	bundle, cluster := pair.Bundle, pair.Cluster
	match, ok, err := target.MatchBundle(bundle, f.Groups, cluster)
	if err != nil {
		return Delivery{}, "", err
	}
	if !ok {
		return Delivery{}, match.Why, nil
	}
	made, err := s.stages().Render(ctx, s.matched(f, pair, match))
	if err != nil {
		return Delivery{}, "", placed(bundle, match, err)
	}
	return Delivery{Pair: pair, Target: match.Name, Variant: made.Variant, Chart: made.Chart}, "", nil
}

func (s *Stages) stages() produce.Stages {
	return produce.Stages{Resolver: s.resolver, Renderer: s.renderer, Charts: s.charts, Secret: s.secret}
}

func (s *Stages) matched(f *Fleet, pair Pair, match target.Match) produce.Pair {
	return produce.Pair{Bundle: pair.Bundle, Cluster: pair.Cluster, Match: match, KubeVersion: s.cfg.KubeVersion, APIVersions: s.cfg.APIVersions, Ref: f.openRef}
}

// placed names the field of the bundle that an error is about, where it does not name one itself.
func placed(bundle fleet.BundleDecl, match target.Match, err error) error {
	var failed *produce.Error
	if !errors.As(err, &failed) {
		return err
	}
	field := ""
	switch failed.Stage {
	case produce.StageRef:
		field = fmt.Sprintf("spec.targets[%d].ref", match.Index)
	case produce.StageChart:
		field = "spec.source.helm"
	default:
		return failed.Err
	}
	return renderer.Refuse(bundle.File, bundle.LineOf(field), "%s: %v", field, failed.Err)
}

// secret is the data of a Secret of the hub's API that a chart repository asks for.
func (s *Stages) secret(_ context.Context, name string) (map[string][]byte, error) {
	data, ok := s.cfg.Objects["Secret/"+name]
	if !ok {
		return nil, errors.New("it is in the hub's API, which is not at hand here")
	}
	return data, nil
}

// placeholders keep a sign in the place of whatever is generated, so that equal inputs show equal objects.
type placeholders struct{}

func (placeholders) Generated(context.Context, generated.Pair) (generated.Values, error) {
	return nil, nil
}

func (placeholders) PutGenerated(_ context.Context, _ generated.Pair, values generated.Values) (generated.Values, error) {
	out := make(generated.Values, len(values))
	for field := range values {
		text, err := json.Marshal(GeneratedOnce)
		if err != nil {
			return nil, err
		}
		out[field] = text
	}
	return out, nil
}

// Revision is one rendering of a bundle, with all clusters that share it.
type Revision struct {
	Bundle   fleet.BundleDecl
	Clusters []string
	Targets  []string
	Chart    string
	Variant  *render.Variant
}

// Revisions of deliveries, by bundle, then the first cluster.
func Revisions(deliveries []Delivery) []Revision {
	var out []Revision
	at := map[string]int{}
	for _, one := range deliveries {
		key := string(one.Bundle.Key) + " " + string(one.Variant.Revision)
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key] = i
			out = append(out, Revision{Bundle: one.Bundle, Variant: one.Variant, Chart: one.Chart})
		}
		out[i].Clusters = append(out[i].Clusters, one.Cluster.Name)
		if !slices.Contains(out[i].Targets, one.Target) {
			out[i].Targets = append(out[i].Targets, one.Target)
		}
	}
	return out
}

// Digest of the revision as the hub names it; "" where it holds Secrets, which each hub names by a key of its own, or fields
// that are generated once.
func (r Revision) Digest() string {
	for _, item := range r.Variant.Manifest.Items {
		if item.Digest.Secret() || len(item.Once) > 0 {
			return ""
		}
	}
	return string(r.Variant.Revision)
}

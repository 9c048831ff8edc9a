// Package verdict lets policies decide on what a fleet repo makes, without a hub: every rendered object on every cluster, and
// every declaration, by the code of the hub's gate at the point commit.
package verdict

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/gate"
	"github.com/periplus-fleet/periplus/hub/offline"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// Finding is what a policy says of an object, with all clusters where it says so.
type Finding struct {
	delivery.PolicyResult
	// Bundle that makes the object; "" for a declaration.
	Bundle   string
	Clusters []string
}

// Denies says whether the hub's gate would hold it back.
func (f Finding) Denies() bool {
	return f.Action == string(v1alpha1.PolicyDeny) && (f.Result == engine.ResultFail || f.Result == engine.ResultError)
}

// Place of the object in the fleet repo, "file:line" or "file"; of the policy where the object's is unknown.
func (f Finding) Place() (file, line string) {
	file, line, _ = strings.Cut(cmp.Or(f.Source, f.PolicySource), ":")
	return file, line
}

// Report of all that was reviewed.
type Report struct {
	Findings []Finding
	// Refused policies, bindings and exemptions.
	Refused []v1alpha1.Refusal
	// Policies in force, and Objects reviewed, each counted for each of its clusters.
	Policies []*engine.Policy
	Objects  int
}

// Denied counts findings that deny.
func (r *Report) Denied() int {
	denied := 0
	for _, f := range r.Findings {
		if f.Denies() {
			denied++
		}
	}
	return denied
}

// Check reviews deliveries, and what the fleet repo declares when declarations is set. The error says that there is no verdict.
func Check(ctx context.Context, f *offline.Fleet, deliveries []offline.Delivery, declarations bool, now time.Time) (*Report, error) {
	policies, refused := engine.Load(gate.Source(f.Policies), nil)
	report := &Report{Refused: refused, Policies: policies.Policies()}
	merged := merging{at: map[string]int{}}
	if declarations {
		if err := merged.declarations(ctx, f, policies, report, now); err != nil {
			return nil, err
		}
	}
	gates := gate.New(gate.Config{})
	for _, d := range deliveries {
		verdict, err := gates.Check(ctx, request(f, policies, d, now))
		if err != nil {
			return nil, err
		}
		report.Objects += len(d.Variant.Manifest.Items)
		for _, result := range verdict.Results {
			merged.add(offline.Name(d.Bundle), d.Cluster.Name, result)
		}
	}
	report.Findings = merged.findings
	slices.SortStableFunc(report.Findings, compare)
	return report, nil
}

// request asks the gate about a delivery, at the point commit.
func request(f *offline.Fleet, policies *engine.Snapshot, d offline.Delivery, now time.Time) gate.Request {
	return gate.Request{Snapshot: policies, Cluster: gate.Cluster(d.Cluster), Bundle: d.Bundle.Key, Commit: f.Commit,
		Manifest: d.Variant.Manifest, Now: now, Point: engine.PointCommit,
		Load: func(_ context.Context, digests []content.Digest) (map[content.Digest][]byte, error) {
			out := make(map[content.Digest][]byte, len(digests))
			for _, digest := range digests {
				out[digest] = d.Variant.Judged(digest)
			}
			return out, nil
		}}
}

// Explained is an object of a bundle on a cluster, and what every policy has to do with it.
type Explained struct {
	gate.Explained
	Bundle, Cluster string
}

// Explain says of the chosen objects what Check would say at a point, and why.
func Explain(ctx context.Context, f *offline.Fleet, deliveries []offline.Delivery, point string, chosen func(content.ObjectID) bool, now time.Time) ([]Explained, error) {
	policies, _ := engine.Load(gate.Source(f.Policies), nil)
	var out []Explained
	for _, d := range deliveries {
		asked := request(f, policies, d, now)
		asked.Point = point
		explained, err := gate.Explain(ctx, asked, chosen)
		if err != nil {
			return nil, err
		}
		for _, one := range explained {
			out = append(out, Explained{Explained: one, Bundle: offline.Name(d.Bundle), Cluster: d.Cluster.Name})
		}
	}
	return out, nil
}

// merging makes one finding of what is said of the same object on many clusters.
type merging struct {
	findings []Finding
	at       map[string]int
}

func (m *merging) add(bundle, cluster string, result delivery.PolicyResult) {
	key := fmt.Sprintf("%q %q %+v", bundle, result.Object, result)
	i, known := m.at[key]
	if !known {
		i = len(m.findings)
		m.at[key] = i
		m.findings = append(m.findings, Finding{PolicyResult: result, Bundle: bundle})
	}
	if cluster != "" {
		m.findings[i].Clusters = append(m.findings[i].Clusters, cluster)
	}
}

func compare(a, b Finding) int {
	return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.Object.String(), b.Object.String()), strings.Compare(a.Policy, b.Policy),
		strings.Compare(a.Message, b.Message))
}

// declarations are reviewed as the hub's gate does before it applies them.
func (m *merging) declarations(ctx context.Context, f *offline.Fleet, policies *engine.Snapshot, report *Report, now time.Time) error {
	for i := range f.Snapshot.Clusters {
		declared := &f.Snapshot.Clusters[i]
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&declared.Cluster)
		if err != nil {
			return fmt.Errorf("cannot convert FleetCluster %q: %w", declared.Cluster.Name, err)
		}
		whole := &unstructured.Unstructured{Object: object}
		whole.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("FleetCluster"))
		if err := m.declaration(ctx, f, policies, whole, declared.Position, now); err != nil {
			return err
		}
	}
	for i := range f.Resources {
		if err := m.declaration(ctx, f, policies, f.Resources[i].Object, f.Resources[i].Position, now); err != nil {
			return err
		}
	}
	report.Objects += len(f.Snapshot.Clusters) + len(f.Resources)
	return nil
}

func (m *merging) declaration(ctx context.Context, f *offline.Fleet, policies *engine.Snapshot, object *unstructured.Unstructured, at fleet.Position, now time.Time) error {
	cluster, err := gate.DeclaredCluster(object, object.GetNamespace())
	if err != nil {
		return err
	}
	verdict, err := gate.Declare(ctx, policies, gate.Declaration{Object: object.Object, Cluster: cluster, Commit: f.Commit,
		Source: fmt.Sprintf("%s:%d", at.File, at.Line), Now: now, Point: engine.PointCommit})
	if err != nil {
		return err
	}
	for _, result := range verdict.Results {
		m.add("", cluster.Name, result)
	}
	return nil
}

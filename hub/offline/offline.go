// Package offline runs the hub's own stages on a folder or a commit, without a hub: read, target, render, each by the code that
// the hub runs, so that what it shows is what the hub would make. What only a hub knows (what agents report, objects of its
// API, values that were generated once) is given to it, stands for itself by a placeholder, or is an error that says so.
package offline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/target"
)

// DefaultNamespace is the tenant's where nothing else is said.
const DefaultNamespace = "fleet"

// Config says what to read.
type Config struct {
	// Tree with the files; Root is the fleet repo's folder in it, as FleetRepo's spec.path.
	Tree fleet.Tree
	Root string
	// Namespace of the FleetRepo; "" is DefaultNamespace.
	Namespace string
	// Ref opens the content of targets that take it from elsewhere; nil refuses them.
	Ref func(v1alpha1.GitRef) (fleet.Tree, error)
	// Previous is what is in force, and stays where this tree cannot be read, as in the hub; nil is nothing.
	Previous *Fleet
}

// Fleet is what a tree declares.
type Fleet struct {
	*fleet.Snapshot
	// Clusters as targeting sees them, by name.
	Clusters []target.Cluster
	Groups   map[string]*target.Group
	ref      func(v1alpha1.GitRef) (fleet.Tree, error)
}

// Read reads a tree. An error means that it is refused whole; mistakes of single files are in Refused.
func Read(ctx context.Context, cfg Config) (*Fleet, error) {
	if cfg.Namespace == "" {
		cfg.Namespace = DefaultNamespace
	}
	if info, err := cfg.Tree.Stat(path.Clean(cfg.Root)); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("there is no folder %q in %s", cfg.Root, cfg.Tree.Commit())
	}
	in := fleet.ReadInput{Tree: cfg.Tree, Repo: cfg.Namespace + "/offline", Namespace: cfg.Namespace, Path: cfg.Root}
	if cfg.Previous != nil {
		in.Previous = cfg.Previous.Snapshot
	}
	snapshot, err := fleet.Read(ctx, in)
	if err != nil {
		return nil, err
	}
	f := &Fleet{Snapshot: snapshot, Groups: target.Groups(snapshot.Groups), ref: cfg.Ref}
	for i := range snapshot.Clusters {
		cluster, err := target.NewCluster(&snapshot.Clusters[i].Cluster, f.provider(&snapshot.Clusters[i].Cluster))
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", snapshot.Clusters[i].File, snapshot.Clusters[i].Line, err)
		}
		// The hub's API gives the uid; what depends on it needs one that is the cluster's own.
		cluster.UID = "offline/" + cluster.Name
		f.Clusters = append(f.Clusters, cluster)
	}
	slices.SortFunc(f.Clusters, func(a, b target.Cluster) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(snapshot.Bundles, func(a, b fleet.BundleDecl) int { return strings.Compare(string(a.Key), string(b.Key)) })
	return f, nil
}

// provider of a cluster by the class that the same fleet repo declares.
func (f *Fleet) provider(cluster *v1alpha1.FleetCluster) string {
	if cluster.Spec.Provision == nil || cluster.Spec.Provision.Topology == nil {
		return ""
	}
	for _, resource := range f.Resources {
		if resource.Object.GetKind() == "ClusterClass" && resource.Object.GetName() == cluster.Spec.Provision.Topology.ClassRef.Name {
			return target.ProviderOfClass(resource.Object)
		}
	}
	return ""
}

// Name of a bundle without its namespace.
func Name(bundle fleet.BundleDecl) string {
	_, name, _ := strings.Cut(string(bundle.Key), "/")
	return name
}

// BundleNames that are declared.
func (f *Fleet) BundleNames() []string {
	var out []string
	for _, bundle := range f.Bundles {
		out = append(out, Name(bundle))
	}
	return out
}

// ClusterNames that are declared.
func (f *Fleet) ClusterNames() []string {
	var out []string
	for _, cluster := range f.Clusters {
		out = append(out, cluster.Name)
	}
	return out
}

// Selection of pairs: what is empty means all.
type Selection struct {
	Bundles, Clusters []string
	// Below is a folder of the tree; bundles in it are meant.
	Below string
}

// Pair of a bundle and a cluster, which may or may not have to do with each other.
type Pair struct {
	Bundle  fleet.BundleDecl
	Cluster target.Cluster
}

// Pairs that a selection means, by bundle, then cluster. A name that nothing has is an *UnknownError.
func (f *Fleet) Pairs(selection Selection) ([]Pair, error) {
	bundles, err := f.bundles(selection)
	if err != nil {
		return nil, err
	}
	clusters := f.Clusters
	if len(selection.Clusters) > 0 {
		clusters = nil
		for _, name := range slices.Compact(slices.Sorted(slices.Values(selection.Clusters))) {
			at := slices.IndexFunc(f.Clusters, func(c target.Cluster) bool { return c.Name == name })
			if at < 0 {
				return nil, unknown("cluster", name, f.ClusterNames())
			}
			clusters = append(clusters, f.Clusters[at])
		}
	}
	out := make([]Pair, 0, len(bundles)*len(clusters))
	for _, bundle := range bundles {
		for _, cluster := range clusters {
			out = append(out, Pair{bundle, cluster})
		}
	}
	return out, nil
}

// BothPairs are the pairs that a selection means in two fleets, such as before and after a change. A name is known where one of
// them has it.
func BothPairs(one, other *Fleet, selection Selection) ([2][]Pair, error) {
	var out [2][]Pair
	for _, name := range selection.Bundles {
		if all := append(one.BundleNames(), other.BundleNames()...); !slices.Contains(all, name) {
			_, err := other.Pairs(Selection{Bundles: []string{name}})
			return out, err
		}
	}
	for _, name := range selection.Clusters {
		if all := append(one.ClusterNames(), other.ClusterNames()...); !slices.Contains(all, name) {
			return out, unknown("cluster", name, other.ClusterNames())
		}
	}
	for i, f := range []*Fleet{one, other} {
		known := Selection{Below: selection.Below}
		known.Bundles = intersect(selection.Bundles, f.BundleNames())
		known.Clusters = intersect(selection.Clusters, f.ClusterNames())
		if len(known.Bundles) < min(1, len(selection.Bundles)) || len(known.Clusters) < min(1, len(selection.Clusters)) {
			continue
		}
		var err error
		if out[i], err = f.Pairs(known); err != nil {
			return out, err
		}
	}
	return out, nil
}

func intersect(names, known []string) []string {
	var out []string
	for _, name := range names {
		if slices.Contains(known, name) {
			out = append(out, name)
		}
	}
	return out
}

func (f *Fleet) bundles(selection Selection) ([]fleet.BundleDecl, error) {
	var out []fleet.BundleDecl
	asked := map[string]bool{}
	for _, name := range selection.Bundles {
		asked[name] = true
	}
	for _, bundle := range f.Bundles {
		if (len(selection.Bundles) == 0 || asked[Name(bundle)]) && below(bundle.Path, selection.Below) {
			out = append(out, bundle)
			delete(asked, Name(bundle))
		}
	}
	if len(selection.Bundles) == 0 {
		return out, nil
	}
	if names := slices.Sorted(maps.Keys(asked)); len(names) > 0 {
		name := names[0]
		if at := slices.IndexFunc(f.Refused, func(r v1alpha1.Refusal) bool { return refusedBundle(r) == name }); at >= 0 {
			return nil, fmt.Errorf("bundle %q was refused: %s", name, fleet.Describe(f.Refused[at]))
		}
		return nil, unknown("bundle", name, f.BundleNames())
	}
	return out, nil
}

// refusedBundle is the name of the folder whose bundle.yaml was refused; "" where something else was.
func refusedBundle(refused v1alpha1.Refusal) string {
	if path.Base(refused.File) != "bundle.yaml" {
		return ""
	}
	return path.Base(path.Dir(refused.File))
}

func below(folder, above string) bool {
	return above == "" || above == "." || folder == above || strings.HasPrefix(folder, above+"/")
}

// Concerns says whether a refusal has to do with what was selected: all but those of other bundles have.
func (s Selection) Concerns(refused v1alpha1.Refusal) bool {
	name := refusedBundle(refused)
	if name == "" {
		return true
	}
	return below(path.Dir(refused.File), s.Below) && (len(s.Bundles) == 0 || slices.Contains(s.Bundles, name))
}

// openRef opens the content of a target's ref.
func (f *Fleet) openRef(ref v1alpha1.GitRef) (fleet.Tree, error) {
	if f.ref == nil {
		return nil, errors.New("there is no Git repository to take it from")
	}
	return f.ref(ref)
}

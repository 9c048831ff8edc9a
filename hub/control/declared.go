package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/gate"
	"github.com/periplus-fleet/periplus/hub/projection"
	"github.com/periplus-fleet/periplus/hub/source"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// declaration is what the repos of one namespace declare together.
type declaration struct {
	// identity is equal where all else is.
	identity string
	bundles  []plannedBundle
	groups   map[string]*target.Group
	policies *engine.Snapshot
	// snapshots by repo (namespace/name).
	snapshots map[string]*fleet.Snapshot
	// warnings of bundles, once they were planned.
	warnings map[delivery.Key]delivery.Warnings
}

// plannedBundle is a bundle in force with the repo it comes from and the other refs that its targets name.
type plannedBundle struct {
	fleet.BundleDecl
	Repo string
	// Refs are the commits and trees of other refs, by their text.
	Refs map[string]refTree
	// signature is equal where content and declaration are.
	signature string
	options   *linkv1.Options
	// references of all its valuesFrom.
	references []v1alpha1.ValuesReference
}

func planned(bundle fleet.BundleDecl, repo string, refs map[string]refTree) plannedBundle {
	out := plannedBundle{BundleDecl: bundle, Repo: repo, Refs: refs, options: options(bundle.Spec, bundle.Key), references: bundle.Spec.ValuesFrom,
		signature: strings.Join([]string{repo, bundle.Path, bundle.TreeHash, bundle.Commit}, " ")}
	for _, t := range bundle.Spec.Targets {
		out.references = append(out.references[:len(out.references):len(out.references)], t.ValuesFrom...)
		if t.Ref != nil {
			ref := refs[refText(*t.Ref)]
			out.signature += fmt.Sprintf(" %s %v", ref.commit, ref.err)
		}
	}
	return out
}

// sameContent says whether nothing of the bundle changed that its pairs depend on.
func (b plannedBundle) sameContent(other plannedBundle) bool { return b.signature == other.signature }

// refTree is another ref of the bundle's repository, or why it cannot be had.
type refTree struct {
	commit string
	tree   fleet.Tree
	err    error
}

// refText is a ref as a map key.
func refText(ref v1alpha1.GitRef) string { return ref.Branch + "\x00" + ref.Tag + "\x00" + ref.Commit }

// declared puts the repos of a namespace together; false while one of them was not read since this process leads.
func (c *Controller) declared(ctx context.Context, namespace string) (declaration, bool, error) {
	var repos v1alpha1.FleetRepoList
	if err := c.client.List(ctx, &repos, client.InNamespace(namespace)); err != nil {
		return declaration{}, false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range repos.Items {
		state := c.repos[client.ObjectKeyFromObject(&repos.Items[i])]
		if state == nil || state.snapshot == nil {
			return declaration{}, false, nil
		}
	}
	identity := c.identity(namespace)
	if before := c.declarations[namespace]; before.identity == identity {
		return before, len(before.snapshots) > 0, nil
	}
	out := declaration{identity: identity, groups: map[string]*target.Group{}, snapshots: map[string]*fleet.Snapshot{}, policies: c.policies[namespace]}
	for _, key := range slices.SortedFunc(maps.Keys(c.repos), func(a, b client.ObjectKey) int { return strings.Compare(a.String(), b.String()) }) {
		state := c.repos[key]
		if key.Namespace != namespace || state.snapshot == nil {
			continue
		}
		out.snapshots[key.String()] = state.snapshot
		maps.Copy(out.groups, target.Groups(state.snapshot.Groups))
		for _, bundle := range state.snapshot.Bundles {
			out.bundles = append(out.bundles, planned(bundle, key.String(), state.refs))
		}
	}
	c.declarations[namespace] = out
	return out, len(out.snapshots) > 0, nil
}

// identity of what the namespace's repos declare; c.mu is held. Snapshots, refs and policies are never changed, only replaced.
func (c *Controller) identity(namespace string) string {
	var parts []string
	for key, state := range c.repos {
		if key.Namespace == namespace && state.snapshot != nil {
			parts = append(parts, fmt.Sprintf("%s %p %p", key, state.snapshot, state.refs))
		}
	}
	slices.Sort(parts)
	return strings.Join(append(parts, fmt.Sprintf("%p", c.policies[namespace])), "\n")
}

// keys of the bundles in force.
func (d declaration) keys() map[delivery.Key]bool {
	out := make(map[delivery.Key]bool, len(d.bundles))
	for _, bundle := range d.bundles {
		out[bundle.Key] = true
	}
	return out
}

// commit of the namespace: that of its one repo, or several shortened.
func (d declaration) commit() string {
	var commits []string
	for _, repo := range slices.Sorted(maps.Keys(d.snapshots)) {
		commits = append(commits, d.snapshots[repo].Commit)
	}
	return strings.Join(commits, ",")
}

// rows of the bundles in force.
func (d declaration) rows() ([]delivery.Bundle, error) {
	var rows []delivery.Bundle
	for _, bundle := range d.bundles {
		row, err := bundle.Row(bundle.Repo)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// namespaces with a repo that was read.
func (c *Controller) namespaces() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for key, state := range c.repos {
		if state.snapshot != nil {
			out = append(out, key.Namespace)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// read reads a commit over what is in force. A process that starts first reads the commit that its last life had in force, so
// that what the newer commit cannot say is kept.
func (c *Controller) read(ctx context.Context, repo *v1alpha1.FleetRepo, key string, state *repoState, tree *source.Tree) (*fleet.Snapshot, error) {
	stored, err := c.cfg.Store.Bundles(ctx, key)
	if err != nil {
		return nil, err
	}
	in := fleet.ReadInput{Tree: tree, Repo: key, Namespace: repo.Namespace, Path: repo.Spec.Path, Previous: state.snapshot, Stored: stored,
		At: func(commit string) (fleet.Tree, error) { return c.cfg.Source.Open(key, commit) }}
	if in.Previous == nil && repo.Status.Commit != "" && repo.Status.Commit != tree.Commit() {
		if before, err := c.cfg.Source.Open(key, repo.Status.Commit); err == nil {
			earlier := in
			earlier.Tree = before
			if snapshot, err := fleet.Read(ctx, earlier); err == nil {
				in.Previous = snapshot
			}
		}
	}
	snapshot, err := fleet.Read(ctx, in)
	var refused *fleet.RefusedError
	if errors.As(err, &refused) {
		return nil, &refusedCommit{fmt.Sprintf("commit %.12s is refused whole: %v", tree.Commit(), refused)}
	}
	return snapshot, err
}

// resolveRefs fetches the other refs that targets name, and says whether one of them moved.
func (c *Controller) resolveRefs(ctx context.Context, key string, state *repoState, snapshot *fleet.Snapshot) (map[string]refTree, bool) {
	refs := map[string]refTree{}
	moved := false
	for _, bundle := range snapshot.Bundles {
		for _, t := range bundle.Spec.Targets {
			if t.Ref == nil || refs[refText(*t.Ref)].tree != nil {
				continue
			}
			name := refText(*t.Ref)
			commit, err := c.cfg.Source.ResolveRef(ctx, key, state.spec, *t.Ref)
			before := state.refs[name]
			switch {
			case err != nil && before.tree != nil:
				refs[name] = before
				continue
			case err != nil:
				refs[name] = refTree{err: err}
			case before.commit == commit:
				refs[name] = before
				continue
			default:
				tree, err := c.cfg.Source.Open(key, commit)
				refs[name] = refTree{commit: commit, tree: tree, err: err}
			}
			moved = true
		}
	}
	return refs, moved
}

// compilePolicies compiles the policies of all repos of the namespace, with snapshot as the new one of key. What is refused
// freezes, and is said in snapshot's refusals.
func (c *Controller) compilePolicies(namespace, key string, snapshot *fleet.Snapshot) *engine.Snapshot {
	c.mu.Lock()
	snapshots := map[string]*fleet.Snapshot{key: snapshot}
	for name, state := range c.repos {
		if name.Namespace == namespace && name.String() != key && state.snapshot != nil {
			snapshots[name.String()] = state.snapshot
		}
	}
	previous := c.policies[namespace]
	c.mu.Unlock()
	var sources []fleet.PolicySources
	for _, name := range slices.Sorted(maps.Keys(snapshots)) {
		sources = append(sources, snapshots[name].Policies)
	}
	own := snapshot.Policies.Files()
	compiled, refused := engine.Load(gate.Source(sources...), previous)
	for _, refusal := range refused {
		if own[refusal.File] {
			snapshot.Refused = append(snapshot.Refused, refusal)
		}
	}
	c.mu.Lock()
	c.policies[namespace] = compiled
	c.mu.Unlock()
	return compiled
}

func position(p fleet.Position) string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// viewOf is what the namespace's projections shall show.
func viewOf(namespace string, declared declaration, tallies map[delivery.Key]*projection.Tally, denied map[string]*v1alpha1.PolicyStatus,
	clusters []v1alpha1.FleetCluster,
) projection.View {
	view := projection.View{Namespace: namespace}
	for _, bundle := range declared.bundles {
		count := tally(tallies, bundle.Key)
		view.Bundles = append(view.Bundles, v1alpha1.Bundle{
			ObjectMeta: projected(namespace, bundleName(bundle.Key), bundle.Repo, bundle.File, bundle.Commit),
			Spec:       bundle.Spec,
			Status: v1alpha1.BundleStatus{Commit: bundle.Commit, Clusters: &count.Count,
				Conditions: append(projection.Conditions(*count, bundle.Frozen, 0), projection.Warned(declared.warnings[bundle.Key], 0)...)},
		})
	}
	for repo, snapshot := range declared.snapshots {
		for _, group := range snapshot.Groups {
			object := v1alpha1.ClusterGroup{ObjectMeta: projected(namespace, group.Group.Name, repo, group.File, snapshot.Commit), Spec: group.Group.Spec}
			for i := range clusters {
				if group.Selector.Matches(labels.Set(clusters[i].Labels)) {
					object.Status.Clusters++
				}
			}
			view.Groups = append(view.Groups, object)
		}
	}
	for _, policy := range declared.policies.Policies() {
		object := v1alpha1.Policy{ObjectMeta: projected(namespace, strings.ReplaceAll(policy.Name, "_", "-"), firstRepo(declared), policy.File, declared.commit()),
			Spec: v1alpha1.PolicySpec{Title: policy.Metadata.Title, Description: policy.Metadata.Description, Kinds: policy.Metadata.Kinds,
				Points: policy.Metadata.Points, Severity: policy.Metadata.Severity, Action: policy.Metadata.Action}}
		if status := denied[policy.Name]; status != nil {
			object.Status = *status
		}
		view.Policies = append(view.Policies, object)
	}
	return view
}

func firstRepo(d declaration) string { return slices.Sorted(maps.Keys(d.snapshots))[0] }

func projected(namespace, name, repo, file, commit string) metav1.ObjectMeta {
	_, repoName, _ := strings.Cut(repo, "/")
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{v1alpha1.LabelRepo: repoName},
		Annotations: map[string]string{v1alpha1.AnnotationSource: repoName + "/" + file, v1alpha1.AnnotationCommit: commit}}
}

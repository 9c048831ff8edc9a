package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/target/expr"
	"github.com/periplus-fleet/periplus/plugins/renderer/manifests"
)

// readBundles reads every folder below the roots that holds a bundle.yaml.
func (r *reading) readBundles(ctx context.Context, roots []string) error {
	var folders []string
	err := r.walk(ctx, roots, func(file string, entry fs.DirEntry) error {
		if path.Base(file) == manifests.BundleFile && !entry.IsDir() {
			folders = append(folders, path.Dir(file))
		}
		return nil
	})
	if err != nil {
		return err
	}
	byPath := map[string]BundleDecl{}
	for _, before := range r.previous.Bundles {
		byPath[before.Path] = before
	}
	var bundles []BundleDecl
	for _, folder := range folders {
		if bundle, ok := r.readBundle(folder, byPath); ok {
			bundles = append(bundles, bundle)
		}
	}
	r.snapshot.Bundles = r.uniqueBundles(bundles, byPath)
	r.keepVanished()
	r.refuseCycles(byPath)
	return nil
}

// readBundle returns the bundle in force for a folder; ok is false when there is none, as its first version was refused.
func (r *reading) readBundle(folder string, previous map[string]BundleDecl) (BundleDecl, bool) {
	file := path.Join(folder, manifests.BundleFile)
	before, had := previous[folder]
	if had && before.Frozen == "" {
		hash, err := ContentHash(r.in.Tree, folder, before.Spec)
		if err == nil && hash == before.TreeHash {
			before.Tree = r.in.Tree
			return before, true
		}
	}
	bundle, refused := readBundleAt(r.in.Tree, folder, r.in.Namespace, r.expr)
	if len(refused) > 0 {
		r.snapshot.Refused = append(r.snapshot.Refused, refused...)
		return r.freezeBundle(folder, Describe(sortRefusals(refused)[0]), previous)
	}
	bundle.File = file
	// The commit is the one that changed the bundle: an unchanged one keeps its own, also over a restart.
	switch stored, ok := r.stored(folder); {
	case had && before.TreeHash == bundle.TreeHash:
		bundle.Commit = before.Commit
	case ok && stored.TreeHash == bundle.TreeHash:
		bundle.Commit = stored.Commit
	}
	return bundle, true
}

func (r *reading) stored(folder string) (delivery.Bundle, bool) {
	i := slices.IndexFunc(r.in.Stored, func(b delivery.Bundle) bool { return b.Path == folder && b.Repo == r.in.Repo })
	if i < 0 {
		return delivery.Bundle{}, false
	}
	return r.in.Stored[i], true
}

// freezeBundle finds the version before: of the previous snapshot, else by the store's record, read again at its commit.
func (r *reading) freezeBundle(folder, why string, previous map[string]BundleDecl) (BundleDecl, bool) {
	if before, ok := previous[folder]; ok {
		before.Frozen = why
		return before, true
	}
	stored, ok := r.stored(folder)
	if !ok {
		r.unknown = path.Join(folder, manifests.BundleFile)
		return BundleDecl{}, false
	}
	r.snapshot.Frozen.Objects["Bundle/"+strings.TrimPrefix(string(stored.Key), r.in.Namespace+"/")] = true
	bundle, err := Freeze(stored, r.in.Namespace, r.in.At, r.expr)
	if err != nil {
		r.refuse(refusal(path.Join(folder, manifests.BundleFile), 0, "", "the version in force cannot be read again: %v", err))
		return BundleDecl{}, false
	}
	bundle.Frozen = why
	return bundle, true
}

// Freeze reads a bundle in force again, at the commit that the store recorded.
func Freeze(stored delivery.Bundle, namespace string, at func(commit string) (Tree, error), evaluator *expr.Evaluator) (BundleDecl, error) {
	if at == nil {
		return BundleDecl{}, fmt.Errorf("cannot open commit %s", stored.Commit)
	}
	tree, err := at(stored.Commit)
	if err != nil {
		return BundleDecl{}, err
	}
	bundle, refused := readBundleAt(tree, stored.Path, namespace, evaluator)
	if len(refused) > 0 {
		return BundleDecl{}, &RefusedError{refused[0]}
	}
	if bundle.Key != stored.Key {
		return BundleDecl{}, fmt.Errorf("at commit %s the folder declares bundle %q, not %q", stored.Commit, bundle.Key, stored.Key)
	}
	return bundle, nil
}

// readBundleAt reads one folder of a tree.
func readBundleAt(tree Tree, folder, namespace string, evaluator *expr.Evaluator) (BundleDecl, []v1alpha1.Refusal) {
	file := path.Join(folder, manifests.BundleFile)
	data, err := tree.ReadFile(file)
	if err != nil {
		return BundleDecl{}, []v1alpha1.Refusal{refusal(file, 0, "", "%v", err)}
	}
	bundle, refused := ParseBundle(file, data, namespace, evaluator)
	if len(refused) > 0 {
		return bundle, refused
	}
	bundle.Tree, bundle.Commit = tree, tree.Commit()
	bundle.TreeHash, err = ContentHash(tree, folder, bundle.Spec)
	if err != nil {
		refused = append(refused, refusal(file, bundle.LineOf("spec.source"), "spec.source", "%v", err))
	}
	return bundle, refused
}

// uniqueBundles drops a name's second declaration; the one in force before stays, else the first.
func (r *reading) uniqueBundles(bundles []BundleDecl, previous map[string]BundleDecl) []BundleDecl {
	owner := map[delivery.Key]string{}
	for _, bundle := range bundles {
		before, had := previous[bundle.Path]
		if current, taken := owner[bundle.Key]; !taken || (had && before.Key == bundle.Key && previous[current].Key != bundle.Key) {
			owner[bundle.Key] = bundle.Path
		}
	}
	var kept []BundleDecl
	for _, bundle := range bundles {
		if owner[bundle.Key] == bundle.Path {
			kept = append(kept, bundle)
			continue
		}
		r.refuse(refusal(bundle.File, bundle.LineOf("metadata.name"), "metadata.name", "bundle %q is declared twice, also at %s",
			bundle.Key, path.Join(owner[bundle.Key], manifests.BundleFile)))
	}
	return kept
}

// keepVanished keeps bundles whose folder is gone while a new bundle.yaml cannot be read: they may have moved there.
func (r *reading) keepVanished() {
	if r.unknown == "" {
		return
	}
	here := map[delivery.Key]bool{}
	for _, bundle := range r.snapshot.Bundles {
		here[bundle.Key] = true
	}
	why := "the bundle's folder is gone, but " + r.unknown + " cannot be read and may declare it"
	for _, before := range r.previous.Bundles {
		if !here[before.Key] {
			here[before.Key] = true
			before.Frozen = why
			r.snapshot.Bundles = append(r.snapshot.Bundles, before)
		}
	}
	for _, stored := range r.in.Stored {
		if stored.Repo != r.in.Repo || here[stored.Key] {
			continue
		}
		r.snapshot.Frozen.Objects["Bundle/"+strings.TrimPrefix(string(stored.Key), r.in.Namespace+"/")] = true
		if bundle, err := Freeze(stored, r.in.Namespace, r.in.At, r.expr); err == nil {
			bundle.Frozen = why
			r.snapshot.Bundles = append(r.snapshot.Bundles, bundle)
		}
	}
}

// refuseCycles takes back what made cycles of dependsOn: a bundle whose dependencies changed stays as it was, a new one is
// left out. Bundles that did not change are left alone: they were not part of a cycle before.
func (r *reading) refuseCycles(previous map[string]BundleDecl) {
	for {
		cycle := findCycle(r.snapshot.Bundles)
		if cycle == nil || !r.breakCycle(cycle, previous) {
			return
		}
	}
}

// breakCycle says whether anything could be taken back.
func (r *reading) breakCycle(cycle []string, previous map[string]BundleDecl) bool {
	var kept []BundleDecl
	broken := false
	for _, bundle := range r.snapshot.Bundles {
		if !slices.Contains(cycle, string(bundle.Key)) || bundle.Frozen != "" {
			kept = append(kept, bundle)
			continue
		}
		why := refusal(bundle.File, bundle.LineOf("spec.dependsOn"), "spec.dependsOn", "the dependencies form a cycle: %s", strings.Join(cycle, " -> "))
		before, had := r.freezeBundle(bundle.Path, Describe(why), previous)
		if had && slices.Equal(dependencies(before), dependencies(bundle)) {
			kept = append(kept, bundle)
			continue
		}
		broken = true
		r.refuse(why)
		if had {
			kept = append(kept, before)
		}
	}
	r.snapshot.Bundles = kept
	return broken
}

func dependencies(bundle BundleDecl) []string {
	namespace, _, _ := strings.Cut(string(bundle.Key), "/")
	var out []string
	for _, dependency := range bundle.Spec.DependsOn {
		// One on other clusters counts too: whatever its selector means today, a label may change tomorrow.
		if dependency.Bundle != "" {
			out = append(out, namespace+"/"+dependency.Bundle)
		}
	}
	return out
}

// findCycle returns the keys along one cycle, first and last the same; nil when there is none.
func findCycle(bundles []BundleDecl) []string {
	graph := map[string][]string{}
	for _, bundle := range bundles {
		graph[string(bundle.Key)] = dependencies(bundle)
	}
	done := map[string]bool{}
	var trail []string
	var visit func(key string) []string
	visit = func(key string) []string {
		if at := slices.Index(trail, key); at >= 0 {
			return append(slices.Clone(trail[at:]), key)
		}
		if done[key] {
			return nil
		}
		done[key] = true
		trail = append(trail, key)
		defer func() { trail = trail[:len(trail)-1] }()
		for _, next := range graph[key] {
			if cycle := visit(next); cycle != nil {
				return cycle
			}
		}
		return nil
	}
	for _, bundle := range bundles {
		if cycle := visit(string(bundle.Key)); cycle != nil {
			return cycle
		}
	}
	return nil
}

// Row is the bundle as the store keeps it.
func (b BundleDecl) Row(repo string) (delivery.Bundle, error) {
	spec, err := json.Marshal(b.Spec)
	if err != nil {
		return delivery.Bundle{}, fmt.Errorf("cannot encode bundle %q: %w", b.Key, err)
	}
	return delivery.Bundle{Key: b.Key, Repo: repo, Path: b.Path, Commit: b.Commit, TreeHash: b.TreeHash, Spec: spec, Frozen: b.Frozen}, nil
}

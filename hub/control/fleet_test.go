package control

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/gate"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// memory is the tree of a commit, in memory.
type memory struct {
	fstest.MapFS
	commit string
}

func (m *memory) Commit() string { return m.commit }

func (m *memory) Hash(name string) (string, error) {
	sum := sha256.New()
	// Keys instead of a walk: with thousands of bundles each is asked for its own folder.
	var names []string
	if entries, err := fs.ReadDir(m.MapFS, name); err == nil {
		for _, entry := range entries {
			names = append(names, name+"/"+entry.Name())
		}
	} else {
		names = []string{name}
	}
	for _, file := range names {
		if file := m.MapFS[file]; file != nil {
			sum.Write(file.Data)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// testFleet is a planner with a real store, and what it is told.
type testFleet struct {
	testing.TB
	store   *store.Store
	term    uint64
	planner *planner
	now     time.Time
	// folder of the renderer's cache on disk, and its bound; none where it is not set.
	folder      string
	folderBytes int64

	files    map[string]string
	commits  int
	snapshot *fleet.Snapshot
	declared declaration
	gone     map[delivery.Key]delivery.Cause
	clusters map[string]target.Cluster
	sessions map[string]uint64
	reports  uint64
	news     news
}

func newTestFleet(t testing.TB) *testFleet {
	t.Helper()
	f := &testFleet{TB: t, now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), files: map[string]string{},
		gone: map[delivery.Key]delivery.Cause{}, clusters: map[string]target.Cluster{}, sessions: map[string]uint64{}}
	var err error
	f.store, err = store.Open(t.Context(), store.Config{URL: "sqlite://" + filepath.Join(t.TempDir(), "hub.db"), Key: make([]byte, store.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.store.Close() })
	if f.term, _, err = f.store.Lead(t.Context(), "test", time.Hour); err != nil {
		t.Fatal(err)
	}
	f.restart()
	return f
}

// restart is a process that knows nothing yet.
func (f *testFleet) restart() {
	f.Helper()
	resolver, err := target.NewResolver()
	if err != nil {
		f.Fatal(err)
	}
	renderer, err := render.New(render.Config{SecretKey: []byte("key"), Folder: f.folder, FolderBytes: f.folderBytes})
	if err != nil {
		f.Fatal(err)
	}
	f.planner = &planner{resolver: resolver, renderer: renderer, gate: gate.New(gate.Config{}), store: f.store}
	f.planner.forget()
}

// commit reads the files as a new commit.
func (f *testFleet) commit(files map[string]string) {
	f.Helper()
	tree := &memory{MapFS: fstest.MapFS{}, commit: ""}
	for name, text := range files {
		if f.files[name] = text; text == "" {
			delete(f.files, name)
		}
	}
	for name, text := range f.files {
		if strings.HasPrefix(text, "kind: ") {
			text = "apiVersion: fleet.periplus.dev/v1alpha1\n" + text
		}
		tree.MapFS[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	tree.MapFS["README.md"] = &fstest.MapFile{Data: []byte("x"), Mode: 0o644}
	f.commits++
	tree.commit = fmt.Sprintf("%040d", f.commits)
	snapshot, err := fleet.Read(f.Context(), fleet.ReadInput{Tree: tree, Repo: "fleet/fleet", Namespace: "fleet", Previous: f.snapshot})
	if err != nil {
		f.Fatal(err)
	}
	if len(snapshot.Refused) > 0 {
		f.Fatal(snapshot.Refused)
	}
	var modules []engine.File
	for _, module := range snapshot.Policies.Modules {
		modules = append(modules, engine.File{Path: module.Path, Text: string(module.Data)})
	}
	policies, refused := engine.Load(engine.Source{Modules: modules}, nil)
	if len(refused) > 0 {
		f.Fatal(refused)
	}
	if f.declared.policies != nil && f.declared.policies.Digest == policies.Digest {
		policies = f.declared.policies
	}
	for _, bundle := range f.declared.bundles {
		f.gone[bundle.Key] = delivery.Cause{Kind: "commit", Ref: snapshot.Commit, Message: "gone"}
	}
	f.snapshot = snapshot
	f.declared = declaration{identity: snapshot.Commit, groups: target.Groups(snapshot.Groups), policies: policies,
		snapshots: map[string]*fleet.Snapshot{"fleet/fleet": snapshot}}
	for _, bundle := range snapshot.Bundles {
		f.declared.bundles = append(f.declared.bundles, planned(bundle, "fleet/fleet", nil))
		delete(f.gone, bundle.Key)
	}
	f.news.Undeclared = f.gone
}

// cluster declares a cluster; labels are given as key=value.
func (f *testFleet) cluster(name string, labels ...string) {
	f.Helper()
	c := target.Cluster{UID: "uid-" + name, Namespace: "fleet", Name: name, Labels: map[string]string{}, Properties: map[string]string{}}
	for _, label := range labels {
		key, value, _ := strings.Cut(label, "=")
		c.Labels[key] = value
	}
	f.put(c)
}

func (f *testFleet) put(c target.Cluster) {
	f.Helper()
	f.clusters[c.UID] = c
	f.news.Clusters = append(f.news.Clusters, c)
	rows := []delivery.Cluster{{UID: c.UID, Namespace: c.Namespace, Name: c.Name, Labels: c.Labels}}
	if err := f.store.UpsertClusters(f.Context(), f.term, rows); err != nil {
		f.Fatal(err)
	}
}

// plan tells the planner the news.
func (f *testFleet) plan() int {
	f.Helper()
	n := f.news
	f.news = news{}
	n.Namespace, n.Declared, n.Now = "fleet", f.declared, f.now
	if !f.planner.complete {
		n.All, n.Clusters, n.Undeclared = true, nil, f.gone
		for _, c := range f.clusters {
			n.Clusters = append(n.Clusters, c)
		}
	}
	changes, err := f.planner.step(f.Context(), f.term, n)
	if err == nil {
		err = f.planner.spreadPolicies(f.Context(), f.term, n)
	}
	if err != nil {
		f.Fatal(err)
	}
	return changes
}

// worked is what the last plan did.
func (f *testFleet) worked(do func()) Work {
	before := f.planner.work
	do()
	after := f.planner.work
	return Work{Plans: after.Plans - before.Plans, Full: after.Full - before.Full, Pairs: after.Pairs - before.Pairs, Matched: after.Matched - before.Matched,
		Computed: after.Computed - before.Computed,
		Judged:   after.Judged - before.Judged, Rows: after.Rows - before.Rows, Changes: after.Changes - before.Changes}
}

// state of all deliveries: "cluster bundle" with what holds or removes it.
func (f *testFleet) state() []string {
	f.Helper()
	rows, err := f.store.Deliveries(f.Context(), store.DeliveryFilter{})
	if err != nil {
		f.Fatal(err)
	}
	var out []string
	for _, d := range rows {
		text := d.Cluster + " " + bundleName(d.Bundle)
		if d.Reason != "" {
			text += " " + d.Reason
		}
		if d.Tombstone != nil {
			text += " leaves"
		} else if d.Assigned.Revision == "" {
			text += " unassigned"
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

// assignments are what agents shall run, in full.
func (f *testFleet) assignments() map[string]string {
	f.Helper()
	rows, err := f.store.Deliveries(f.Context(), store.DeliveryFilter{})
	if err != nil {
		f.Fatal(err)
	}
	out := map[string]string{}
	for _, d := range rows {
		if d.Tombstone == nil {
			out[d.Cluster+" "+string(d.Bundle)] = fmt.Sprint(d.Target.Revision, " ", d.Assigned.Revision, " ", d.Target.TargetName, " ", d.Reason, " ", d.Message)
		}
	}
	return out
}

// ready lets a cluster's agent report a bundle as ready at what it is assigned.
func (f *testFleet) ready(cluster, bundle string) {
	f.Helper()
	uid := "uid-" + cluster
	rows, err := f.store.Deliveries(f.Context(), store.DeliveryFilter{ClusterUID: uid, Bundle: delivery.Key("fleet/" + bundle)})
	if err != nil || len(rows) != 1 {
		f.Fatal(rows, err)
	}
	if f.sessions[uid] == 0 {
		if f.sessions[uid], err = f.store.ClaimSession(f.Context(), uid, "test", "agent"); err != nil {
			f.Fatal(err)
		}
	}
	f.reports++
	revision := string(rows[0].Assigned.Revision)
	applied, err := f.store.Report(f.Context(), uid, f.sessions[uid], f.reports, &linkv1.StatusReport{Bundles: []*linkv1.BundleStatus{
		{Bundle: "fleet/" + bundle, Revision: revision, AppliedRevision: revision, State: linkv1.State_STATE_READY}}})
	if err != nil || !applied {
		f.Fatal(applied, err)
	}
}

const object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: default}\ndata: {x: a}\n"

func bundleFiles(name, spec string) map[string]string {
	return map[string]string{"bundles/" + name + "/bundle.yaml": "kind: Bundle\nmetadata: {name: " + name + "}\nspec: " + spec + "\n",
		"bundles/" + name + "/object.yaml": strings.Replace(object, "name: c", "name: "+name, 1)}
}

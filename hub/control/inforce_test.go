package control

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/projection"
)

// TestInForceShowsWhatWasPlanned holds the order that who waits for a commit relies on: the projections show the plan of a
// commit before its FleetRepo says that it is in force, and never what was only read.
func TestInForceShowsWhatWasPlanned(t *testing.T) {
	f := newTestFleet(t)
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	api := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.Bundle{}).Build()
	key := client.ObjectKey{Namespace: "fleet", Name: "fleet"}
	state := &repoState{}
	c := &Controller{cfg: Config{Store: f.store}, client: api, writer: projection.Writer{Client: api}, repos: map[client.ObjectKey]*repoState{key: state},
		planned: map[string]declaration{}, pokes: make(chan event.GenericEvent)}
	// shown is the commit that the Bundle shows, and how many clusters are to have it.
	shown := func() (string, int32) {
		t.Helper()
		var bundle v1alpha1.Bundle
		if err := api.Get(t.Context(), client.ObjectKey{Namespace: "fleet", Name: "web"}, &bundle); err != nil {
			t.Fatal(err)
		}
		return bundle.Status.Commit, bundle.Status.Clusters.Total
	}
	inForce := func() (pokes int) {
		t.Helper()
		done := make(chan error)
		go func() { done <- c.putInForce(t.Context(), "fleet", map[string]string{key.String(): f.snapshot.Commit}) }()
		for {
			select {
			case <-c.pokes:
				pokes++
				if commit, clusters := shown(); commit != c.planned["fleet"].bundles[0].Commit || clusters != int32(len(f.clusters)) {
					t.Errorf("the FleetRepo is told of %s while the bundle shows %s on %d clusters", f.snapshot.Commit, commit, clusters)
				}
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				return pokes
			}
		}
	}
	f.cluster("c1")
	f.commit(bundleFiles("web", "{targets: [{clusterSelector: {}}]}"))
	f.plan()
	c.planned["fleet"] = f.declared
	if pokes := inForce(); pokes != 1 || state.planned != f.snapshot.Commit {
		t.Errorf("a commit that was planned is put in force once: %d pokes, %q", pokes, state.planned)
	}
	if pokes := inForce(); pokes != 0 {
		t.Errorf("the same plan again is nothing new: %d pokes", pokes)
	}
	first := f.snapshot.Commit
	f.cluster("c2")
	f.commit(bundleFiles("web", "{namespace: other, targets: [{clusterSelector: {}}]}"))
	// It was read, and not planned yet: an agent's report lets the projections be written.
	if err := c.writeNamespace(t.Context(), "fleet"); err != nil {
		t.Fatal(err)
	}
	if commit, clusters := shown(); commit != first || clusters != 1 || state.planned != first {
		t.Errorf("a commit that was only read shows: %s on %d clusters, in force %s", commit, clusters, state.planned)
	}
	f.plan()
	c.planned["fleet"] = f.declared
	if pokes := inForce(); pokes != 1 || state.planned != f.snapshot.Commit {
		t.Errorf("the next commit is put in force: %d pokes, %q", pokes, state.planned)
	}
}

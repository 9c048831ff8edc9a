package gate

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// Declaration is one object that the fleet repo declares for the hub itself: a cluster, a class, a template.
type Declaration struct {
	Object map[string]any
	// Cluster is the declared one; a class is reviewed for none, whose only field is its namespace.
	Cluster engine.Cluster
	Commit  string
	// Source is where it is declared, "file:line".
	Source string
	Now    time.Time
	// Point at which policies are asked; "" is the gate.
	Point string
}

// Declare reviews a declaration with the policies in force, as Check does the objects of a revision. An error says that
// there is no verdict: the declaration must not pass.
func Declare(ctx context.Context, snapshot *engine.Snapshot, d Declaration) (Verdict, error) {
	if len(snapshot.Policies()) == 0 {
		return Verdict{}, nil
	}
	findings, err := snapshot.Review(ctx, engine.Input{Object: d.Object, Cluster: d.Cluster, DefaultNamespace: d.Cluster.Namespace}, d.Commit, cmp.Or(d.Point, engine.PointGate), d.Now)
	if err != nil {
		return Verdict{}, fmt.Errorf("cannot check the declaration at %s: %w", d.Source, err)
	}
	prepared, err := engine.Prepare(d.Object, d.Cluster.Namespace)
	if err != nil {
		return Verdict{}, err
	}
	return judge([]content.Item{{ObjectID: prepared.ID, Source: d.Source}}, []reviewed{{id: prepared.ID, findings: findings}}), nil
}

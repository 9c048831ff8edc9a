package sandbox

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// State is the fleet as the hub's API shows it.
type State struct {
	Repo     v1alpha1.FleetRepo
	Clusters []v1alpha1.FleetCluster
	Bundles  []v1alpha1.Bundle
}

// State reads the fleet.
func (s *Sandbox) State(ctx context.Context) (State, error) {
	var state State
	if err := s.Client.Get(ctx, client.ObjectKey{Namespace: TenantNamespace, Name: RepoName}, &state.Repo); err != nil {
		return state, err
	}
	var clusters v1alpha1.FleetClusterList
	if err := s.Client.List(ctx, &clusters, client.InNamespace(TenantNamespace)); err != nil {
		return state, err
	}
	var bundles v1alpha1.BundleList
	if err := s.Client.List(ctx, &bundles, client.InNamespace(TenantNamespace)); err != nil {
		return state, err
	}
	state.Clusters, state.Bundles = clusters.Items, bundles.Items
	return state, nil
}

// Settled is nil when the commit is in force ("" is any) and all clusters and bundles that it declares are Ready; else it
// says what is not.
func (s State) Settled(commit string) error {
	if s.Repo.Status.Commit == "" || commit != "" && s.Repo.Status.Commit != commit {
		return fmt.Errorf("commit %.8s is not in force%s", commit, because(s.Repo.Status.Conditions))
	}
	if int(s.Repo.Status.Clusters) != len(s.Clusters) || int(s.Repo.Status.Bundles) != len(s.Bundles) {
		return fmt.Errorf("%d of %d clusters and %d of %d bundles are there",
			len(s.Clusters), s.Repo.Status.Clusters, len(s.Bundles), s.Repo.Status.Bundles)
	}
	var waiting []string
	for _, refusal := range s.Repo.Status.Refused {
		waiting = append(waiting, fmt.Sprintf("%s:%d is refused (%s)", refusal.File, refusal.Line, refusal.Message))
	}
	for _, cluster := range s.Clusters {
		if !ready(cluster.Status.Conditions, cluster.Generation) {
			waiting = append(waiting, "cluster "+cluster.Name+because(cluster.Status.Conditions))
		}
	}
	for _, bundle := range s.Bundles {
		if !ready(bundle.Status.Conditions, 0) {
			waiting = append(waiting, "bundle "+bundle.Name+because(bundle.Status.Conditions))
		}
	}
	if len(waiting) > 0 {
		return fmt.Errorf("not ready: %s", strings.Join(waiting, "; "))
	}
	return nil
}

// ready also asks that the condition is about this generation, where one is given.
func ready(conditions []metav1.Condition, generation int64) bool {
	condition := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	return condition != nil && condition.Status == metav1.ConditionTrue && (generation == 0 || condition.ObservedGeneration >= generation)
}

func because(conditions []metav1.Condition) string {
	condition := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if condition == nil || condition.Status == metav1.ConditionTrue || condition.Message == "" {
		return ""
	}
	return " (" + condition.Message + ")"
}

// Settle waits until the fleet is as the commit declares, and says each thing that becomes ready.
func (s *Sandbox) Settle(ctx context.Context, commit string) error {
	said := map[string]string{}
	return until(ctx, "the fleet is as declared", func() error {
		state, err := s.State(ctx)
		if err != nil {
			return err
		}
		s.narrate(state, said)
		return state.Settled(commit)
	})
}

func (s *Sandbox) narrate(state State, said map[string]string) {
	note := func(key, now string) {
		if said[key] != now {
			said[key] = now
			s.steps.say("%s: %s", key, now)
		}
	}
	for _, refusal := range state.Repo.Status.Refused {
		note(fmt.Sprintf("refused: %s:%d", refusal.File, refusal.Line), refusal.Message)
	}
	for _, cluster := range state.Clusters {
		for _, stage := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionConnected, v1alpha1.ConditionAgentInstalled, v1alpha1.ConditionProvisioned} {
			if meta.IsStatusConditionTrue(cluster.Status.Conditions, stage) {
				note("cluster "+cluster.Name, strings.ToLower(stage[:1])+stage[1:])
				break
			}
		}
	}
	for _, bundle := range state.Bundles {
		if ready(bundle.Status.Conditions, 0) {
			note("bundle "+bundle.Name, "ready")
		}
	}
}

// table shows clusters and bundles.
func table(out io.Writer, state State) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "\nCLUSTER\tREADY\tVERSION\tBUNDLES\tMESSAGE")
	for _, c := range state.Clusters {
		display := ""
		if c.Status.Bundles != nil {
			display = c.Status.Bundles.Display
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", c.Name, status(c.Status.Conditions), c.Status.Version, display, strings.Trim(because(c.Status.Conditions), " ()"))
	}
	fmt.Fprintln(w, "\t\t\t\t\nBUNDLE\tREADY\tCLUSTERS\tCOMMIT\tMESSAGE")
	for _, b := range state.Bundles {
		display := ""
		if b.Status.Clusters != nil {
			display = b.Status.Clusters.Display
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.8s\t%s\n", b.Name, status(b.Status.Conditions), display, b.Status.Commit, strings.Trim(because(b.Status.Conditions), " ()"))
	}
	_ = w.Flush()
}

func status(conditions []metav1.Condition) string {
	if condition := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady); condition != nil {
		return string(condition.Status)
	}
	return "Unknown"
}

// Run is `periplus-sandbox run`: up, shown, kept until ctx is done (or only until the fleet is ready), down.
func Run(ctx context.Context, cfg Config, once bool) error {
	s, err := Up(ctx, cfg)
	if err != nil {
		return err
	}
	err = s.show(ctx, once)
	if ctx.Err() != nil {
		err = nil // the person's Ctrl-C
	}
	s.steps.say("stopping; the state stays in %s", cfg.Folder)
	if down := s.Down(context.WithoutCancel(ctx)); down != nil && err == nil {
		err = down
	}
	return err
}

// patience is how long the first table waits for a fleet to become ready; after that it shows what is not.
const patience = 5 * time.Minute

func (s *Sandbox) show(ctx context.Context, once bool) error {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	settled := s.Settle(limited, "")
	if ctx.Err() != nil {
		return nil
	}
	state, err := s.State(ctx)
	if err != nil {
		return err
	}
	table(s.cfg.Out, state)
	if settled != nil {
		s.steps.say("not all is as declared yet: %v", settled)
	}
	fmt.Fprintf(s.cfg.Out, `
The hub's API listens on https://127.0.0.1:%d (gRPC and REST), its Kubernetes API on %s.

  export KUBECONFIG=%s
  %s get clusters
  %s get fcl,pbd -n %s

Change something: edit, commit and push in %s, then
  %s wait --commit HEAD

Logs are in %s. Ctrl-C stops everything and keeps the state.
`, s.Ports["hub API"], s.Admin.Host, s.cfg.Kubeconfig(), s.cfg.binary("periplus"), s.cfg.binary("kubectl"), TenantNamespace,
		s.cfg.Clone(), s.cfg.binary("periplus"), s.cfg.Folder)
	if once {
		return settled
	}
	<-ctx.Done()
	return nil
}

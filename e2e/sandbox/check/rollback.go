package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// fragile is a bundle that goes back when its revision is not ready in time.
func fragile(cluster, selector string) (bundle, manifest string) {
	bundle = strings.Replace(bundleYAML("check-fragile"), "clusterSelector: {}", "clusterNames: ["+cluster+"]", 1) +
		"  dependsOn: [{bundle: check-a}]\n  onFailure: Rollback\n  health: {timeout: 10s}\n"
	return bundle, fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: fragile, labels: {app.kubernetes.io/name: fragile, fleet.example.com/team: check}}
spec:
  selector: {matchLabels: {app: fragile}}
  template:
    metadata: {labels: {app: fragile}}
    spec:
      nodeSelector: %s
      containers:
        - name: main
          image: registry.example.com/fragile:1
          resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 16Mi}}
`, selector)
}

// rollback: a revision that is not ready in time is taken back by the agent, and people see why, down to the pod.
func rollback(ctx context.Context, w *world) error {
	state, err := w.box.State(ctx)
	if err != nil {
		return err
	}
	m, err := w.member(ctx, state.Clusters[0].Name)
	if err != nil {
		return err
	}
	put := func(message, selector string) (string, error) {
		commit, _, err := w.commit(ctx, message, func(folder string) error {
			bundle, manifest := fragile(m.name, selector)
			return errors.Join(write(folder, "bundles/check-fragile/bundle.yaml", bundle), write(folder, "bundles/check-fragile/deployment.yaml", manifest))
		})
		return commit, err
	}
	commit, err := put("Something that runs", "{}")
	if err == nil {
		err = w.settle(ctx, commit)
	}
	if err == nil {
		_, err = put("Something that no node can run", `{nowhere: "true"}`)
	}
	if err != nil {
		return err
	}
	says := func(want string, args ...string) func() error {
		return func() error {
			out, err := w.periplus(ctx, args...)
			if err == nil && !strings.Contains(out, want) {
				err = fmt.Errorf("periplus %s does not say %q but:\n%s", strings.Join(args, " "), want, out)
			}
			return err
		}
	}
	if err := eventually(ctx, "people see why it is not ready", says("no node matches its node selector", "why", "check-fragile", "-c", m.name)); err != nil {
		return err
	}
	if err := eventually(ctx, "the agent goes back", says("RolledBack", "why", "check-fragile", "-c", m.name)); err != nil {
		return err
	}
	var live appsv1.Deployment
	if err := m.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "fragile"}, &live); err != nil {
		return err
	}
	if len(live.Spec.Template.Spec.NodeSelector) > 0 {
		return fmt.Errorf("the node selector is still there: %v", live.Spec.Template.Spec.NodeSelector)
	}
	if err := eventually(ctx, "its pods are seen", says("└─ Pod/", "tree", "check-fragile", "-c", m.name)); err != nil {
		return err
	}
	commit, _, err = w.commit(ctx, "Nothing fragile", func(folder string) error {
		return os.RemoveAll(filepath.Join(folder, "bundles/check-fragile"))
	})
	if err != nil {
		return err
	}
	return w.settle(ctx, commit)
}

package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// hooksChart has a Job that must end before anything is applied, and one ConfigMap that it is for.
var hooksChart = map[string]string{
	"Chart.yaml": "apiVersion: v2\nname: hooked\nversion: 1.0.0\n",
	"templates/job.yaml": `apiVersion: batch/v1
kind: Job
metadata:
  name: before
  labels: {app.kubernetes.io/name: before, fleet.example.com/team: check}
  annotations: {helm.sh/hook: "pre-install,pre-upgrade"}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: before
          image: registry.example.com/check/before:1
          resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 16Mi}}
`,
	"templates/after.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hooked}\ndata: {value: \"{{ .Values.value }}\"}\n",
}

// hooks: a chart's hook runs to its end before the chart's objects are applied, once a revision.
func hooks(ctx context.Context, w *world) error {
	state, err := w.box.State(ctx)
	if err != nil {
		return err
	}
	m, err := w.member(ctx, state.Clusters[0].Name)
	if err != nil {
		return err
	}
	var ran *batchv1.Job
	for _, value := range []string{"1", "2"} {
		commit, _, err := w.commit(ctx, "Hooks of revision "+value, func(folder string) error {
			return hookedBundle(folder, m.name, value)
		})
		if err == nil {
			err = w.settle(ctx, commit)
		}
		if err != nil {
			return err
		}
		var job batchv1.Job
		if err := m.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "before"}, &job); err != nil {
			return fmt.Errorf("the hook of revision %s: %w", value, err)
		}
		if ran != nil && job.UID == ran.UID {
			return errors.New("the hook did not run again for a new revision")
		}
		got, _, err := m.value(ctx, "hooked")
		if err != nil || got != value {
			return fmt.Errorf("hooked is %q (%w)", got, err)
		}
		ran = &job
	}
	if ran.Status.Succeeded != 1 || ran.Status.CompletionTime == nil {
		return fmt.Errorf("the bundle is ready though its hook is not: %+v", ran.Status)
	}
	commit, _, err := w.commit(ctx, "No hooks", func(folder string) error { return os.RemoveAll(filepath.Join(folder, "bundles/check-hooks")) })
	if err != nil {
		return err
	}
	return errors.Join(eventually(ctx, "what the hook was for is gone", func() error {
		if _, _, err := m.value(ctx, "hooked"); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there (%v)", err)
		}
		return nil
	}), w.settle(ctx, commit))
}

func hookedBundle(folder, cluster, value string) error {
	all := write(folder, "bundles/check-hooks/bundle.yaml", fmt.Sprintf("apiVersion: %s\nkind: Bundle\nmetadata: {name: check-hooks}\nspec:\n  namespace: %s\n"+
		"  source: {helm: {chart: ./chart}}\n  values: {value: %q}\n  targets: [{clusterNames: [%s]}]\n  dependsOn: [{bundle: check-a}]\n",
		v1alpha1.GroupVersion, namespace, value, cluster))
	for path, text := range hooksChart {
		all = errors.Join(all, write(folder, "bundles/check-hooks/chart/"+path, text))
	}
	return all
}

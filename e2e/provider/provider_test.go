package provider

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/clusters/local/v1alpha1"
)

const namespace = "default"

func cluster(name, version string, workers int32) *clusterv1.Cluster {
	return &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: clusterv1.ClusterSpec{
		Topology: clusterv1.Topology{ClassRef: clusterv1.ClusterClassRef{Name: "standard"}, Version: version,
			Workers: clusterv1.WorkersTopology{MachineDeployments: []clusterv1.MachineDeploymentTopology{
				{Class: "default", Name: "default", Replicas: ptr.To(workers)}}}}}}
}

func (w *world) available(name, version string) func(context.Context) string {
	return func(ctx context.Context) string {
		var live clusterv1.Cluster
		if err := w.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &live); err != nil {
			return err.Error()
		}
		var plane v1alpha1.LocalControlPlaneList
		if err := w.client.List(ctx, &plane, client.InNamespace(namespace), client.MatchingLabels{clusterv1.ClusterNameLabel: name}); err != nil {
			return err.Error()
		}
		if len(plane.Items) != 1 || plane.Items[0].Status.Version != version {
			return fmt.Sprintf("%d control planes, not one at %s: %+v", len(plane.Items), version, live.Status.Conditions)
		}
		if !conditions.IsTrue(&live, clusterv1.AvailableCondition) {
			return fmt.Sprintf("%+v", conditions.Get(&live, clusterv1.AvailableCondition))
		}
		return ""
	}
}

func workloads() []client.Object {
	labels := map[string]string{"app": "web"}
	pod := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "example.com/web:1"}}}}
	job := *pod.DeepCopy()
	job.Spec.RestartPolicy = corev1.RestartPolicyNever
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "web"}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	return []client.Object{
		&appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: ptr.To[int32](2), Selector: selector, Template: pod}},
		&appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: pod}},
		&appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, ServiceName: "web", Template: pod,
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}}}}}}},
		&batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Template: job}},
	}
}

func ready(ctx context.Context, member client.Client) string {
	key := client.ObjectKey{Namespace: namespace, Name: "web"}
	var deployment appsv1.Deployment
	var daemons appsv1.DaemonSet
	var stateful appsv1.StatefulSet
	var job batchv1.Job
	for _, object := range []client.Object{&deployment, &daemons, &stateful, &job} {
		if err := member.Get(ctx, key, object); err != nil {
			return err.Error()
		}
	}
	if deployment.Status.ReadyReplicas != 2 || daemons.Status.NumberReady != 2 || stateful.Status.ReadyReplicas != 1 || job.Status.Succeeded != 1 {
		return fmt.Sprintf("Deployment %d of 2, DaemonSet %d of 2, StatefulSet %d of 1, Job %d of 1", deployment.Status.ReadyReplicas,
			daemons.Status.NumberReady, stateful.Status.ReadyReplicas, job.Status.Succeeded)
	}
	return ""
}

// TestClusterLife is the whole life of clusters: made, used, refused a version, upgraded, their provider killed, deleted.
func TestClusterLife(t *testing.T) {
	if testing.Short() {
		t.Skip("real clusters take a minute")
	}
	w := newWorld(t)
	w.applyClass(namespace)
	w.create(cluster("one", "v1.35.0", 2))
	w.create(cluster("two", "v1.36.0", 0))
	t.Logf("cluster one available after %s", w.eventually("cluster one", w.available("one", "v1.35.0")))
	t.Logf("cluster two available after further %s", w.eventually("cluster two", w.available("two", "v1.36.0")))

	member := w.member(namespace, "one")
	w.eventually("default ServiceAccount", func(ctx context.Context) string {
		if err := member.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, &corev1.ServiceAccount{}); err != nil {
			return err.Error()
		}
		return ""
	})
	for _, object := range workloads() {
		if err := member.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("workloads ready after %s", w.eventually("workloads", func(ctx context.Context) string { return ready(ctx, member) }))

	w.agent(member)

	t.Logf("upgraded after %s", w.upgrade("one", "v1.36.0"))
	if missing := ready(t.Context(), member); missing != "" {
		t.Errorf("the upgrade lost workloads: %s", missing)
	}

	w.killed(member)
	if !t.Failed() {
		w.deleted("one", "two")
	}
}

func (w *world) upgrade(name, version string) any {
	w.t.Helper()
	w.eventually("change of version", func(ctx context.Context) string {
		var live clusterv1.Cluster
		if err := w.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &live); err != nil {
			return err.Error()
		}
		live.Spec.Topology.Version = version
		if err := w.client.Update(ctx, &live); err != nil {
			return err.Error()
		}
		return ""
	})
	return w.eventually("upgrade", w.available(name, version))
}

// killed ends the provider hard: its processes live on without it; the next provider must leave one of each.
func (w *world) killed(member client.Client) {
	w.t.Helper()
	w.end(syscall.SIGKILL)
	if servers := w.servers(); servers != 2 {
		w.t.Errorf("after the kill %d API servers run, not the 2 that were left", servers)
	}
	w.start()
	took := w.eventually("taking over", func(ctx context.Context) string {
		if log, err := os.ReadFile(filepath.Join(w.folder, "provider.log")); err != nil || strings.Count(string(log), "the local provider runs") != 2 {
			return "the second provider does not run yet"
		}
		if missing := ready(ctx, member); missing != "" {
			return missing
		}
		if servers := w.servers(); servers != 2 {
			return fmt.Sprintf("%d API servers", servers)
		}
		return ""
	})
	w.t.Logf("members answer again %s after the provider was killed", took)
	w.eventually("connection", w.available("one", "v1.36.0"))
}

// servers counts the members' API servers by their command line.
func (w *world) servers() int {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		w.t.Fatal(err)
	}
	count := 0
	for _, file := range lines {
		// A process that has ended meanwhile is none.
		data, _ := os.ReadFile(file)
		line := strings.ReplaceAll(string(data), "\x00", " ")
		if strings.Contains(line, " kube-apiserver ") && strings.Contains(line, "--etcd-servers="+w.etcd.URL+" --etcd-prefix=/wl/") {
			count++
		}
	}
	return count
}

// deleted removes the clusters and looks at everything that they had.
func (w *world) deleted(names ...string) {
	w.t.Helper()
	for _, name := range names {
		if err := w.client.Delete(w.t.Context(), &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}); err != nil {
			w.t.Fatal(err)
		}
	}
	took := w.eventually("deletion", func(ctx context.Context) string {
		for _, name := range names {
			if err := w.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &clusterv1.Cluster{}); !apierrors.IsNotFound(err) {
				return fmt.Sprintf("cluster %s is there: %v", name, err)
			}
		}
		return ""
	})
	w.t.Logf("both clusters deleted after %s", took)
	w.eventually("nothing left", func(ctx context.Context) string {
		var secrets corev1.SecretList
		if err := w.client.List(ctx, &secrets, client.HasLabels{clusterv1.ClusterNameLabel}); err != nil || len(secrets.Items) > 0 {
			return fmt.Sprintf("%d Secrets (%v)", len(secrets.Items), err)
		}
		if servers := w.servers(); servers != 0 {
			return fmt.Sprintf("%d API servers", servers)
		}
		if keys := w.keys("/wl/"); keys != 0 {
			return fmt.Sprintf("%d keys in etcd", keys)
		}
		return ""
	})
}

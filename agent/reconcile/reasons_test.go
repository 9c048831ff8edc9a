package reconcile_test

import (
	"context"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

func TestTheStatusNamesThePod(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, `apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: "registry.example.com/web:1"}]}}
`)
	m.accept()
	ctx := context.Background()
	m.eventually("the ReplicaSet is there", func() bool {
		owner, err := m.client.AppsV1().ReplicaSets(m.space).Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return false
		}
		pod, err := m.client.CoreV1().Pods(m.space).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-1",
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "registry.example.com/web:1"}}}}, metav1.CreateOptions{})
		if err != nil {
			return false
		}
		pod.Status = corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{Name: "web", State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "manifest unknown"}}}}}
		_, err = m.client.CoreV1().Pods(m.space).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		return err == nil
	})
	const want = "pod web-1: container web: image registry.example.com/web:1 does not exist"
	status := m.hub.wait(t, "the status says which pod and why", func(l *listener) *linkv1.BundleStatus {
		if s := l.statuses["fleet/a"]; strings.Contains(s.GetMessage(), want) {
			return s
		}
		return nil
	})
	if got := status.GetExceptions()[0].GetMessage(); got != want {
		t.Errorf("the object's own message is %q", got)
	}
	m.written()
	m.must(m.client.CoreV1().Pods(m.space).Delete(ctx, "web-1", metav1.DeleteOptions{}))
	if writes := m.written(); len(writes) > 1 {
		t.Errorf("looking wrote: %v", writes)
	}
}

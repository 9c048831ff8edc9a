package provider

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// fakeAgent stands for the agent's binary: it says how it was started, and lives.
func fakeAgent(t *testing.T, folder string) string {
	t.Helper()
	path := filepath.Join(folder, "agent.sh")
	script := "#!/bin/sh\nprintf '%s\\n' \"$KUBECONFIG\" \"$PLACE\" \"$*\" > " + folder + "/agent.new && mv " + folder + "/agent.new " + folder + "/agent.started\nwhile :; do sleep 1; done\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// agent installs the agent's Deployment and looks at how its process runs: with the pod's arguments and variables, as the
// pod's ServiceAccount, until the pod goes.
func (w *world) agent(member client.Client) {
	w.t.Helper()
	const system, name = "periplus-system", "periplus-agent"
	labels := map[string]string{"app.kubernetes.io/name": name}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: system}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: name}},
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: name}, Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{ServiceAccountName: name, Containers: []corev1.Container{{Name: "agent", Image: "example.com/agent:1",
					Args: []string{"--place", "$(PLACE)"}, Env: []corev1.EnvVar{{Name: "PLACE", ValueFrom: &corev1.EnvVarSource{
						FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}}}}}}}}},
	} {
		if err := member.Create(w.t.Context(), object); err != nil {
			w.t.Fatal(err)
		}
	}
	var lines []string
	w.t.Logf("agent started after %s", w.eventually("the agent's process", func(context.Context) string {
		data, err := os.ReadFile(filepath.Join(w.folder, "agent.started"))
		if err != nil {
			return err.Error()
		}
		lines = strings.Split(string(data), "\n")
		return ""
	}))
	if len(lines) < 3 || lines[1] != system || lines[2] != "--place "+system {
		w.t.Errorf("the agent runs with %q, not with the pod's variables and arguments", lines)
	}
	config, err := clientcmd.BuildConfigFromFlags("", lines[0])
	if err != nil {
		w.t.Fatal(err)
	}
	review, err := kubernetes.NewForConfigOrDie(config).AuthenticationV1().SelfSubjectReviews().Create(w.t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	if got := review.Status.UserInfo.Username; got != "system:serviceaccount:"+system+":"+name {
		w.t.Errorf("the agent acts as %q", got)
	}
	live := &appsv1.Deployment{}
	if err := member.Get(w.t.Context(), client.ObjectKey{Namespace: system, Name: name}, live); err != nil {
		w.t.Fatal(err)
	}
	live.Spec.Replicas = ptr.To[int32](0)
	if err := member.Update(w.t.Context(), live); err != nil {
		w.t.Fatal(err)
	}
	w.eventually("the end of the agent's process", func(context.Context) string {
		if _, err := os.Stat(lines[0]); err == nil {
			return "its kubeconfig is there"
		}
		return ""
	})
}

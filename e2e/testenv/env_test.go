package testenv_test

import (
	"context"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/periplus-fleet/periplus/e2e/testenv"
)

func TestServersAreApart(t *testing.T) {
	ctx := context.Background()
	shared := testenv.Start(t)
	namespace := shared.Namespace(t)
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "here", Namespace: namespace}}
	if _, err := kubernetes.NewForConfigOrDie(shared.Config).CoreV1().ConfigMaps(namespace).Create(ctx, object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if testing.Short() {
		t.Skip("a second API server takes seconds")
	}
	other := shared.NewServer(t)
	_, err := kubernetes.NewForConfigOrDie(other.Config).CoreV1().ConfigMaps(namespace).Get(ctx, "here", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the second server shows an object of the first: %v", err)
	}
	if _, err := kubernetes.NewForConfigOrDie(other.User(t, "nobody")).CoreV1().Secrets("default").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a user without rights may list Secrets: %v", err)
	}
	if log, err := os.ReadFile(other.AuditLog()); err != nil || !strings.Contains(string(log), `"username":"nobody"`) {
		t.Errorf("the audit log has no line about the refused user: %v", err)
	}
}

package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/kube"
	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage/driver"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

const (
	// labelDigest on the Helm release tells an unchanged installation from one to upgrade.
	labelDigest      = "periplus-values"
	annotationIssued = v1alpha1.Group + "/issued"

	memberTimeout  = 10 * time.Second
	installTimeout = 2 * time.Minute
)

// member is one cluster, reached by its kubeconfig.
type member struct {
	name   string
	client kubernetes.Interface
	helm   *action.Configuration
}

// connect does not yet reach the cluster.
func connect(name string, kubeconfig []byte) (*member, error) {
	getter, err := newGetter(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("cannot use kubeconfig of cluster %q: %w", name, err)
	}
	config, err := getter.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("cannot use kubeconfig of cluster %q: %w", name, err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot use kubeconfig of cluster %q: %w", name, err)
	}
	helm := action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler))
	if err := helm.Init(getter, Namespace, "secret"); err != nil {
		return nil, fmt.Errorf("cannot use Helm in cluster %q: %w", name, err)
	}
	return &member{name: name, client: client, helm: helm}, nil
}

// look reads what stands in the member.
func (m *member) look(ctx context.Context) (found, error) {
	var f found
	last, err := m.helm.Releases.Last(Release)
	switch {
	case errors.Is(err, driver.ErrReleaseNotFound):
	case err != nil:
		return f, fmt.Errorf("cannot read Helm release %q of cluster %q: %w", Release, m.name, err)
	default:
		rel, ok := last.(*release.Release)
		if !ok {
			return f, fmt.Errorf("cannot read Helm release %q of cluster %q: unknown release type %T", Release, m.name, last)
		}
		f.release, f.digest = rel.Info.Status.String(), rel.Labels[labelDigest]
	}
	if _, err = m.client.AppsV1().Deployments(Namespace).Get(ctx, Release, metav1.GetOptions{}); err == nil {
		f.deployment = true
	} else if !apierrors.IsNotFound(err) {
		return f, fmt.Errorf("cannot read the agent's Deployment of cluster %q: %w", m.name, err)
	}
	if _, err = m.client.CoreV1().Secrets(Namespace).Get(ctx, identitySecret, metav1.GetOptions{}); err == nil {
		f.identity = true
	} else if !apierrors.IsNotFound(err) {
		return f, fmt.Errorf("cannot read the agent's identity in cluster %q: %w", m.name, err)
	}
	join, err := m.client.CoreV1().Secrets(Namespace).Get(ctx, joinSecret, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return f, fmt.Errorf("cannot read the join token of cluster %q: %w", m.name, err)
	default:
		f.token = true
		f.issued, _ = time.Parse(time.RFC3339, join.Annotations[annotationIssued]) // without a date it counts as old
	}
	return f, nil
}

// putToken makes the agent's namespace and the Secret that it reads the token from.
func (m *member) putToken(ctx context.Context, token string, issued time.Time) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace, Labels: map[string]string{
		"pod-security.kubernetes.io/enforce": "restricted"}}}
	if _, err := m.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("cannot make namespace %q in cluster %q: %w", Namespace, m.name, err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: joinSecret, Namespace: Namespace,
			Annotations: map[string]string{annotationIssued: issued.UTC().Format(time.RFC3339)}},
		Data: map[string][]byte{"token": []byte(token)},
	}
	secrets := m.client.CoreV1().Secrets(Namespace)
	_, err := secrets.Create(ctx, secret, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("cannot write the join token to cluster %q: %w", m.name, err)
	}
	return nil
}

// carryOut does what decide said. It does not wait for the agent: that it runs is seen from its link.
func (m *member) carryOut(ctx context.Context, do verb, agent *chart.Chart, values map[string]any, digest string) error {
	labels := map[string]string{labelDigest: digest}
	switch do {
	case replace:
		uninstall := action.NewUninstall(m.helm)
		uninstall.IgnoreNotFound, uninstall.WaitStrategy, uninstall.Timeout = true, kube.HookOnlyStrategy, installTimeout
		if _, err := uninstall.Run(Release); err != nil {
			return fmt.Errorf("cannot clear an interrupted installation of the agent in cluster %q: %w", m.name, err)
		}
		fallthrough
	case install:
		run := action.NewInstall(m.helm)
		run.ReleaseName, run.Namespace, run.CreateNamespace, run.Labels = Release, Namespace, true, labels
		run.WaitStrategy, run.Timeout = kube.HookOnlyStrategy, installTimeout
		run.TakeOwnership, run.ForceConflicts = true, true // what is left of a lost release is taken over
		run.DisableOpenAPIValidation = true                // the API server validates, and reading its whole schema is slow
		if _, err := run.RunWithContext(ctx, agent, values); err != nil {
			return fmt.Errorf("cannot install the agent in cluster %q: %w", m.name, err)
		}
	case upgrade:
		run := action.NewUpgrade(m.helm)
		run.Namespace, run.Labels, run.MaxHistory = Namespace, labels, 3
		run.WaitStrategy, run.Timeout = kube.HookOnlyStrategy, installTimeout
		run.TakeOwnership, run.ForceConflicts, run.DisableOpenAPIValidation = true, true, true
		if _, err := run.RunWithContext(ctx, Release, agent, values); err != nil {
			return fmt.Errorf("cannot upgrade the agent in cluster %q: %w", m.name, err)
		}
	case leave:
	}
	return nil
}

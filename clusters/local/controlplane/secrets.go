package controlplane

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/kubeconfig"
	"sigs.k8s.io/cluster-api/util/secret"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/clusters/local/apiserver"
	"github.com/periplus-fleet/periplus/clusters/local/pki"
	"github.com/periplus-fleet/periplus/clusters/local/v1alpha1"
)

// renewal is how long before its end a kubeconfig's client certificate is renewed.
const renewal = 180 * 24 * time.Hour

type keys struct{ ca, serviceAccounts pki.Pair }

// ensureKeys keeps the cluster's CA, the key for ServiceAccount tokens and the kubeconfig in the Secrets of Cluster API's
// contract. They are made once: other keys would make every credential in the member worthless.
func (r *Reconciler) ensureKeys(ctx context.Context, cluster *clusterv1.Cluster, plane *v1alpha1.LocalControlPlane) (keys, error) {
	ca, err := r.ensurePair(ctx, cluster, plane, secret.ClusterCA, func() (pki.Pair, error) { return pki.NewCA(cluster.Name) })
	if err != nil {
		return keys{}, err
	}
	serviceAccounts, err := r.ensurePair(ctx, cluster, plane, secret.ServiceAccount, pki.NewServiceAccountKey)
	if err != nil {
		return keys{}, err
	}
	return keys{ca: ca, serviceAccounts: serviceAccounts}, r.ensureKubeconfig(ctx, cluster, plane, ca)
}

func (r *Reconciler) ensurePair(ctx context.Context, cluster *clusterv1.Cluster, plane *v1alpha1.LocalControlPlane, purpose secret.Purpose, issue func() (pki.Pair, error)) (pki.Pair, error) {
	live := &corev1.Secret{}
	key := client.ObjectKey{Namespace: cluster.Namespace, Name: secret.Name(cluster.Name, purpose)}
	err := r.Reader.Get(ctx, key, live)
	if apierrors.IsNotFound(err) {
		pair, err := issue()
		if err != nil {
			return pki.Pair{}, err
		}
		live = newSecret(cluster, plane, purpose, map[string][]byte{secret.TLSCrtDataName: pair.Cert, secret.TLSKeyDataName: pair.Key})
		if err := r.Client.Create(ctx, live); err != nil {
			return pki.Pair{}, fmt.Errorf("cannot keep key pair %q: %w", key.Name, err)
		}
		return pair, nil
	}
	if err != nil {
		return pki.Pair{}, fmt.Errorf("cannot read key pair %q: %w", key.Name, err)
	}
	pair := pki.Pair{Cert: live.Data[secret.TLSCrtDataName], Key: live.Data[secret.TLSKeyDataName]}
	if len(pair.Cert) == 0 || len(pair.Key) == 0 {
		return pki.Pair{}, fmt.Errorf("cannot read key pair %q: the Secret has no %s or %s", key.Name, secret.TLSCrtDataName, secret.TLSKeyDataName)
	}
	return pair, nil
}

func (r *Reconciler) ensureKubeconfig(ctx context.Context, cluster *clusterv1.Cluster, plane *v1alpha1.LocalControlPlane, ca pki.Pair) error {
	live := &corev1.Secret{}
	key := client.ObjectKey{Namespace: cluster.Namespace, Name: secret.Name(cluster.Name, secret.Kubeconfig)}
	err := r.Reader.Get(ctx, key, live)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return fmt.Errorf("cannot read kubeconfig %q: %w", key.Name, err)
	}
	if !missing {
		due, err := kubeconfig.NeedsClientCertRotation(live, renewal)
		if err == nil && !due {
			return nil
		}
	}
	server := apiserver.Server{Name: cluster.Name, Port: int(cluster.Spec.ControlPlaneEndpoint.Port), CA: ca}
	data, err := server.Kubeconfig("kubernetes-admin", "system:masters")
	if err != nil {
		return fmt.Errorf("cannot issue kubeconfig %q: %w", key.Name, err)
	}
	if missing {
		err = r.Client.Create(ctx, newSecret(cluster, plane, secret.Kubeconfig, map[string][]byte{secret.KubeconfigDataName: data}))
	} else {
		live.Data = map[string][]byte{secret.KubeconfigDataName: data}
		err = r.Client.Update(ctx, live)
	}
	if err != nil {
		return fmt.Errorf("cannot keep kubeconfig %q: %w", key.Name, err)
	}
	return nil
}

func newSecret(cluster *clusterv1.Cluster, plane *v1alpha1.LocalControlPlane, purpose secret.Purpose, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: secret.Name(cluster.Name, purpose),
			Labels:          map[string]string{clusterv1.ClusterNameLabel: cluster.Name},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(plane, v1alpha1.GroupVersion.WithKind("LocalControlPlane"))}},
		Type: clusterv1.ClusterSecretType, Data: data,
	}
}

func (r *Reconciler) removeSecrets(ctx context.Context, cluster *clusterv1.Cluster, plane *v1alpha1.LocalControlPlane) error {
	for _, purpose := range []secret.Purpose{secret.Kubeconfig, secret.ServiceAccount, secret.ClusterCA} {
		live := &corev1.Secret{}
		key := client.ObjectKey{Namespace: cluster.Namespace, Name: secret.Name(cluster.Name, purpose)}
		err := r.Reader.Get(ctx, key, live)
		if err == nil && metav1.IsControlledBy(live, plane) {
			err = r.Client.Delete(ctx, live)
		}
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("cannot remove Secret %q: %w", key.Name, err)
		}
	}
	return nil
}

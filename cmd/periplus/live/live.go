// Package live is what the commands share that look into a cluster: which delivery they are about, and which object of it.
package live

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
)

// kinds are Kubernetes' own kinds by the names that people type.
var kinds = map[string][2]string{
	"pod": {"", "Pod"}, "po": {"", "Pod"}, "service": {"", "Service"}, "svc": {"", "Service"}, "configmap": {"", "ConfigMap"}, "cm": {"", "ConfigMap"},
	"secret": {"", "Secret"}, "namespace": {"", "Namespace"}, "ns": {"", "Namespace"}, "serviceaccount": {"", "ServiceAccount"}, "sa": {"", "ServiceAccount"},
	"persistentvolumeclaim": {"", "PersistentVolumeClaim"}, "pvc": {"", "PersistentVolumeClaim"},
	"deployment": {"apps", "Deployment"}, "deploy": {"apps", "Deployment"}, "statefulset": {"apps", "StatefulSet"}, "sts": {"apps", "StatefulSet"},
	"daemonset": {"apps", "DaemonSet"}, "ds": {"apps", "DaemonSet"}, "replicaset": {"apps", "ReplicaSet"}, "rs": {"apps", "ReplicaSet"},
	"job": {"batch", "Job"}, "cronjob": {"batch", "CronJob"}, "cj": {"batch", "CronJob"},
	"ingress": {"networking.k8s.io", "Ingress"}, "ing": {"networking.k8s.io", "Ingress"}, "networkpolicy": {"networking.k8s.io", "NetworkPolicy"}, "netpol": {"networking.k8s.io", "NetworkPolicy"},
	"horizontalpodautoscaler": {"autoscaling", "HorizontalPodAutoscaler"}, "hpa": {"autoscaling", "HorizontalPodAutoscaler"},
	"role": {"rbac.authorization.k8s.io", "Role"}, "rolebinding": {"rbac.authorization.k8s.io", "RoleBinding"},
	"clusterrole": {"rbac.authorization.k8s.io", "ClusterRole"}, "clusterrolebinding": {"rbac.authorization.k8s.io", "ClusterRoleBinding"},
}

// Target is what a command is about: a bundle on a cluster, or one object of it.
type Target struct {
	Bundle, Cluster              string
	Group, Kind, Namespace, Name string
}

// Bind registers --cluster.
func (t *Target) Bind(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&t.Cluster, "cluster", "c", "", "the cluster")
}

// Read takes the arguments BUNDLE [KIND/NAME].
func (t *Target) Read(cmd *cobra.Command, args []string) error {
	if t.Cluster == "" {
		return client.Usage("%s needs --cluster", cmd.Name())
	}
	t.Bundle = args[0]
	if len(args) < 2 {
		return nil
	}
	parts := strings.Split(args[1], "/")
	if len(parts) != 2 && len(parts) != 3 || parts[0] == "" || parts[len(parts)-1] == "" {
		return client.Usage("%q: want KIND/NAME or KIND/NAMESPACE/NAME, such as Deployment/web, deploy/web or Certificate.cert-manager.io/shop/web", args[1])
	}
	t.Kind, t.Group, _ = strings.Cut(parts[0], ".")
	if known, ok := kinds[strings.ToLower(t.Kind)]; ok && (t.Group == "" || t.Group == known[0]) {
		t.Group, t.Kind = known[0], known[1]
	}
	t.Name = parts[len(parts)-1]
	if len(parts) == 3 {
		t.Namespace = parts[1]
	}
	return nil
}

// Path of the delivery below /api/v1.
func (t *Target) Path(namespace string) string {
	return fmt.Sprintf("namespaces/%s/clusters/%s/deliveries/%s", namespace, url.PathEscape(t.Cluster), url.PathEscape(t.Bundle))
}

// Query names the object.
func (t *Target) Query() url.Values {
	query := url.Values{}
	for key, value := range map[string]string{"group": t.Group, "kind": t.Kind, "object_namespace": t.Namespace, "name": t.Name} {
		if value != "" {
			query.Set(key, value)
		}
	}
	return query
}

// Ref is an object in a person's words: Kind/name, or Kind/namespace/name.
func Ref(ref *statusv1.LiveRef) string {
	if ref.GetNamespace() == "" {
		return ref.GetKind() + "/" + ref.GetName()
	}
	return ref.GetKind() + "/" + ref.GetNamespace() + "/" + ref.GetName()
}

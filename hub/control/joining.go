package control

import (
	"context"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/gate"
	"github.com/periplus-fleet/periplus/hub/identity"
	"github.com/periplus-fleet/periplus/hub/target"
)

// AdmitJoin says why the policies of a cluster's namespace deny that it joins; "" when they do not. What it reviews is no
// object of an API: a ClusterJoin, whose spec is input.join. An error says that nobody can tell yet: the agent asks again.
func (c *Controller) AdmitJoin(ctx context.Context, joining identity.Joining) (string, error) {
	var repos v1alpha1.FleetRepoList
	if err := c.client.List(ctx, &repos, client.InNamespace(joining.Namespace)); err != nil {
		return "", err
	}
	c.mu.Lock()
	for i := range repos.Items {
		if state := c.repos[client.ObjectKeyFromObject(&repos.Items[i])]; state == nil || state.snapshot == nil {
			c.mu.Unlock()
			return "", errors.New("the policies of the namespace are not read yet")
		}
	}
	policies := c.policies[joining.Namespace]
	c.mu.Unlock()
	if len(policies.Policies()) == 0 {
		return "", nil
	}
	var cluster v1alpha1.FleetCluster
	if err := c.client.Get(ctx, client.ObjectKey{Namespace: joining.Namespace, Name: joining.Name}, &cluster); err != nil {
		return "", err
	}
	facts, err := target.NewCluster(&cluster, "")
	if err != nil {
		return "", err
	}
	verdict, err := gate.Declare(ctx, policies, gate.Declaration{Object: joinObject(cluster, joining), Cluster: gate.Cluster(facts), Now: time.Now()})
	return verdict.Reason, err
}

func joinObject(cluster v1alpha1.FleetCluster, joining identity.Joining) map[string]any {
	labels := map[string]any{}
	for key, value := range cluster.Labels {
		labels[key] = value
	}
	return map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": v1alpha1.KindClusterJoin,
		"metadata": map[string]any{"name": cluster.Name, "namespace": cluster.Namespace, "labels": labels},
		"spec": map[string]any{"agentVersion": joining.AgentVersion, "fingerprint": joining.Fingerprint,
			"provisioned": cluster.Spec.Provision != nil},
	}
}

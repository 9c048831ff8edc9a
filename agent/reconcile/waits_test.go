package reconcile_test

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	rbacv1 "k8s.io/api/rbac/v1"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

func TestObjectDependency(t *testing.T) {
	m := newMember(t)
	ctx := context.Background()
	group := m.space + ".example"
	options := &linkv1.Options{DefaultNamespace: m.space, DependsOnObjects: []*linkv1.ObjectId{
		{Group: "apps", Kind: "Deployment", Namespace: m.space, Name: "db"}, {Group: group, Kind: "Widget", Name: "w"}}}
	m.give("fleet/a", options, configMapYAML("one", "1"))
	m.accept()
	m.says("fleet/a", linkv1.State_STATE_WAITING, "waits for Deployment.apps "+m.space+"/db: it does not exist")
	// Nobody of the fleet makes it.
	deployment := object(deploymentYAML("db"))
	_, err := m.dynamic.Resource(deployments).Namespace(m.space).Create(ctx, deployment, metav1.CreateOptions{FieldManager: "somebody"})
	m.must(err)
	m.says("fleet/a", linkv1.State_STATE_WAITING, "db: it is not healthy")
	m.available("db")
	m.says("fleet/a", linkv1.State_STATE_WAITING, "Widget."+group+" w: it is of a kind that this cluster does not serve")
	m.give("fleet/crd", nil, crdYAML(group), "apiVersion: "+group+"/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: 3}")
	m.accept()
	m.ready("fleet/crd")
	m.ready("fleet/a")
	// Once it is applied, what it needed may go.
	m.must(m.dynamic.Resource(deployments).Namespace(m.space).Delete(ctx, "db", metav1.DeleteOptions{}))
	m.patch(configMaps, "one", `{"data":{"key":"drifted"}}`)
	m.event("fleet/a", "drift-repaired")
	m.ready("fleet/a")
}

func TestObjectDependencyIsReadAsTheTenant(t *testing.T) {
	m := newMember(t)
	ctx := context.Background()
	m.tenant("narrow", "")
	_, err := m.client.RbacV1().RoleBindings(m.space).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "narrow"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: m.namespace, Name: "narrow"}}}, metav1.CreateOptions{})
	m.must(err)
	m.give("fleet/a", &linkv1.Options{ServiceAccountName: "narrow", DependsOnObjects: []*linkv1.ObjectId{
		{Kind: "ConfigMap", Namespace: "kube-system", Name: "kube-root-ca.crt"}}}, configMapYAML("one", "1"))
	m.accept()
	status := m.says("fleet/a", linkv1.State_STATE_WAITING, `ServiceAccount "narrow" may not get configmaps in namespace "kube-system"`)
	if !strings.Contains(status.GetMessage(), "tenants[namespace=fleet]") {
		t.Errorf("message is %q", status.GetMessage())
	}
}

func TestRemovalGoesBackwards(t *testing.T) {
	m := newMember(t)
	m.give("fleet/base", nil, configMapYAML("base", "1"))
	m.give("fleet/middle", &linkv1.Options{DependsOn: []string{"fleet/base"}}, configMapYAML("middle", "1"))
	m.give("fleet/top", &linkv1.Options{DependsOn: []string{"fleet/middle"}}, configMapYAML("top", "1"))
	m.accept()
	m.ready("fleet/top")
	m.patch(configMaps, "top", `{"metadata":{"finalizers":["example.org/hold"]}}`)
	// The agent that removes them is another one: what needed what outlives it.
	m.stop()
	m.start()
	for _, name := range []string{"fleet/base", "fleet/middle", "fleet/top"} {
		m.bury(name, &linkv1.Tombstone{})
	}
	m.accept()
	m.says("fleet/base", linkv1.State_STATE_REMOVING, "waits for bundle fleet/middle, which depends on it, to be removed")
	m.says("fleet/middle", linkv1.State_STATE_REMOVING, "waits for bundle fleet/top, which depends on it, to be removed")
	m.says("fleet/top", linkv1.State_STATE_REMOVING, "example.org/hold")
	if !m.hasConfigMap("base") || !m.hasConfigMap("middle") {
		t.Error("what another bundle needs went before it")
	}
	m.patch(configMaps, "top", `{"metadata":{"finalizers":null}}`)
	m.gone("fleet/top")
	m.gone("fleet/middle")
	m.gone("fleet/base")
}

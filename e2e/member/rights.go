package member

import (
	"context"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	agentAccount  = "periplus-agent"
	tenantAccount = "periplus-tenant-fleet"
	// agentUser is how the agent authenticates; here by a certificate, as a pod does by a token.
	agentUser  = "system:serviceaccount:" + system + ":" + agentAccount
	joinSecret = "periplus-agent-join"
)

var agentGroups = []string{"system:serviceaccounts", "system:serviceaccounts:" + system, "system:authenticated"}

// rights are those of the agent's chart, with one tenant that may do everything.
func (m *Member) rights(ctx context.Context) error {
	for _, name := range []string{system, Space} {
		if _, err := m.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("cannot make namespace %q: %w", name, err)
		}
	}
	account := func(name string) []rbacv1.Subject {
		return []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: system, Name: name}}
	}
	for _, name := range []string{agentAccount, tenantAccount} {
		_, err := m.Client.CoreV1().ServiceAccounts(system).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("cannot make ServiceAccount %q: %w", name, err)
		}
	}
	rbac, meta := m.Client.RbacV1(), metav1.ObjectMeta{Name: agentAccount}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "watch", "create", "update", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, ResourceNames: []string{tenantAccount}, Verbs: []string{"impersonate"}}}}
	if _, err := rbac.Roles(system).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("cannot make Role %q: %w", role.Name, err)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: account(agentAccount),
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: agentAccount}}
	if _, err := rbac.RoleBindings(system).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("cannot make RoleBinding %q: %w", binding.Name, err)
	}
	wide := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"namespaces"}, ResourceNames: []string{"kube-system"}, Verbs: []string{"get"}}}}
	if _, err := rbac.ClusterRoles().Create(ctx, wide, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("cannot make ClusterRole %q: %w", wide.Name, err)
	}
	for name, role := range map[string]string{agentAccount: agentAccount, tenantAccount: "cluster-admin"} {
		binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "periplus:" + name}, Subjects: account(name),
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}}
		if _, err := rbac.ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("cannot make ClusterRoleBinding %q: %w", binding.Name, err)
		}
	}
	m.kubeconfig = filepath.Join(m.folder, "agent.kubeconfig")
	return m.RouteDirectly()
}

// Rejoin gives the cluster another join token.
func (m *Member) Rejoin(ctx context.Context) error {
	if err := m.Client.CoreV1().Secrets(system).Delete(ctx, joinSecret, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("cannot remove the join Secret: %w", err)
	}
	_, _, m.Hub.token = m.Hub.Invite()
	return m.joinSecret(ctx)
}

func (m *Member) joinSecret(ctx context.Context) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: joinSecret}, StringData: map[string]string{"token": m.Hub.token}}
	if _, err := m.Client.CoreV1().Secrets(system).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("cannot make the join Secret: %w", err)
	}
	return nil
}

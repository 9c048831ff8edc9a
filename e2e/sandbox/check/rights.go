package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// rights: every rule that the agent's chart grants was used, on some cluster, in the life of this fleet; what was never used
// should not be granted.
func rights(ctx context.Context, w *world) error {
	var rules []grant
	var events []event
	err := w.each(ctx, func(m *member) error {
		granted, err := m.granted(ctx)
		if err != nil {
			return err
		}
		for _, g := range granted {
			if !slices.ContainsFunc(rules, func(other grant) bool { return other.String() == g.String() }) {
				rules = append(rules, g)
			}
		}
		found, err := readAudit(m.audit, time.Time{})
		events = append(events, found...)
		return err
	})
	if err != nil {
		return err
	}
	if len(rules) == 0 {
		return fmt.Errorf("no rule grants the agent anything: its roles were not found")
	}
	if never := unused(rules, events); len(never) > 0 {
		return fmt.Errorf("rules of the agent's chart that no request used:\n%s", strings.Join(never, "\n"))
	}
	return nil
}

// grant is a rule and the role that it stands in.
type grant struct {
	role string
	rule rbacv1.PolicyRule
}

func (g grant) String() string {
	return fmt.Sprintf("%s: %v %v/%v %v", g.role, g.rule.Verbs, g.rule.APIGroups, g.rule.Resources, g.rule.ResourceNames)
}

// granted lists the rules that are bound to the agent's own ServiceAccount.
func (m *member) granted(ctx context.Context) ([]grant, error) {
	var out []grant
	isAgent := func(subjects []rbacv1.Subject) bool {
		return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
			return s.Kind == "ServiceAccount" && "system:serviceaccount:"+s.Namespace+":"+s.Name == agentUser
		})
	}
	add := func(namespace string, ref rbacv1.RoleRef) error {
		var rules []rbacv1.PolicyRule
		if ref.Kind == "ClusterRole" {
			var role rbacv1.ClusterRole
			if err := m.client.Get(ctx, client.ObjectKey{Name: ref.Name}, &role); err != nil {
				return err
			}
			rules = role.Rules
		} else {
			var role rbacv1.Role
			if err := m.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, &role); err != nil {
				return err
			}
			rules = role.Rules
		}
		for _, rule := range rules {
			out = append(out, grant{role: ref.Kind + " " + ref.Name, rule: rule})
		}
		return nil
	}
	var everywhere rbacv1.ClusterRoleBindingList
	if err := m.client.List(ctx, &everywhere); err != nil {
		return nil, err
	}
	for _, binding := range everywhere.Items {
		if isAgent(binding.Subjects) {
			if err := add("", binding.RoleRef); err != nil {
				return nil, err
			}
		}
	}
	var inNamespaces rbacv1.RoleBindingList
	if err := m.client.List(ctx, &inNamespaces); err != nil {
		return nil, err
	}
	for _, binding := range inNamespaces.Items {
		if isAgent(binding.Subjects) {
			if err := add(binding.Namespace, binding.RoleRef); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// unused lists the rules that allowed none of the agent's requests.
func unused(rules []grant, events []event) []string {
	var never []string
	for _, g := range rules {
		if !slices.ContainsFunc(events, func(e event) bool { return uses(g.rule, e) }) {
			never = append(never, g.String())
		}
	}
	return never
}

func uses(rule rbacv1.PolicyRule, e event) bool {
	if e.User.Username != agentUser || e.Status.Code == 403 {
		return false
	}
	has := func(list []string, value string) bool {
		return slices.Contains(list, "*") || slices.Contains(list, value)
	}
	if e.As != nil {
		// The request itself was allowed by the other account's rights; this one's is to act as it.
		account := strings.Split(e.As.Username, ":")
		return has(rule.Verbs, "impersonate") && has(rule.Resources, "serviceaccounts") && len(account) == 4 &&
			(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, account[3]))
	}
	if len(rule.NonResourceURLs) > 0 {
		path, _, _ := strings.Cut(e.URI, "?")
		return has(rule.NonResourceURLs, path) && has(rule.Verbs, e.Verb)
	}
	resource := e.Object.Resource
	if e.Object.Subresource != "" {
		resource += "/" + e.Object.Subresource
	}
	return has(rule.Verbs, e.Verb) && has(rule.APIGroups, e.Object.Group) && has(rule.Resources, resource) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, e.Object.Name))
}

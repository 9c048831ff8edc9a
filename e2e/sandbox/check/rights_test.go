package check

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

func TestUses(t *testing.T) {
	secrets := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "update"}}
	act := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, Verbs: []string{"impersonate"}, ResourceNames: []string{"periplus-tenant-fleet"}}
	request := func(change func(*event)) event {
		e := event{Verb: "get", User: user{agentUser}, Object: object{Resource: "secrets", Namespace: "periplus-system", Name: "x"}, Status: status{200}}
		change(&e)
		return e
	}
	as := func(name string) func(*event) {
		return func(e *event) { e.As = &user{"system:serviceaccount:periplus-system:" + name} }
	}
	named := secrets
	named.ResourceNames = []string{"y"}
	cases := map[string]struct {
		reason string
		rule   rbacv1.PolicyRule
		event  event
		want   bool
	}{
		"Used":             {reason: "verb, group and resource fit", rule: secrets, event: request(func(*event) {}), want: true},
		"OtherVerb":        {reason: "a verb that the rule has not", rule: secrets, event: request(func(e *event) { e.Verb = "list" })},
		"OtherGroup":       {reason: "a resource of the same name elsewhere", rule: secrets, event: request(func(e *event) { e.Object.Group = "example.com" })},
		"OtherUser":        {reason: "others' requests need others' rights", rule: secrets, event: request(func(e *event) { e.User.Username = "someone" })},
		"Refused":          {reason: "a refused request used no right", rule: secrets, event: request(func(e *event) { e.Status.Code = 403 })},
		"OtherName":        {reason: "the rule is for one object", rule: named, event: request(func(*event) {})},
		"Subresource":      {reason: "a subresource is a resource of its own", rule: secrets, event: request(func(e *event) { e.Object.Subresource = "status" })},
		"Impersonates":     {reason: "acting as a tenant uses the right to act as it", rule: act, event: request(as("periplus-tenant-fleet")), want: true},
		"ImpersonatesElse": {reason: "another tenant's account", rule: act, event: request(as("periplus-tenant-other"))},
		"ActsNotAsItself":  {reason: "what a tenant's rights allowed needs none of the agent's", rule: secrets, event: request(as("periplus-tenant-fleet"))},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := uses(tc.rule, tc.event); got != tc.want {
				t.Errorf("%s: got %v", tc.reason, got)
			}
			if left := len(unused([]grant{{rule: tc.rule}}, []event{tc.event})); (left == 0) != tc.want {
				t.Errorf("%s: %d rules are unused", tc.reason, left)
			}
		})
	}
}

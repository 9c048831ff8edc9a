package rbac_escalation_test

import data.rbac_escalation

findings(kind, rule) := result if {
	result := rbac_escalation.deny with input as {"kind": kind, "object": {"rules": [rule]}}
}

test_reader_passes if count(findings("ClusterRole", {"verbs": ["get"], "resources": ["pods"]})) == 0

test_impersonation_is_named if findings("Role", {"verbs": ["impersonate"], "resources": ["users"]}) == {"rules[0] allows impersonate"}

test_named_one_passes if count(findings("Role", {"verbs": ["impersonate"], "resources": ["serviceaccounts"], "resourceNames": ["web"]})) == 0

test_exec_is_denied if findings("Role", {"verbs": ["create"], "resources": ["pods/exec"]}) == {"rules[0] allows pods/exec"}

test_secrets_of_all_namespaces_are_denied if count(findings("ClusterRole", {"verbs": ["get", "list"], "resources": ["secrets"]})) == 2

test_secrets_of_one_namespace_pass if count(findings("Role", {"verbs": ["get"], "resources": ["secrets"]})) == 0

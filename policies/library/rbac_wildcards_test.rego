package rbac_wildcards_test

import data.rbac_wildcards

findings(rule) := result if {
	result := rbac_wildcards.deny with input as {"object": {"rules": [rule]}}
}

test_named_passes if count(findings({"verbs": ["get"], "resources": ["pods"], "apiGroups": [""]})) == 0

test_each_wildcard_is_named if findings({"verbs": ["*"], "resources": ["pods", "*"], "apiGroups": [""]}) == {"rules[0].verbs holds *", "rules[0].resources holds *"}

test_aggregated_role_passes if {
	result := rbac_wildcards.deny with input as {"object": {"aggregationRule": {}}}
	count(result) == 0
}

package rbac_cluster_admin_test

import data.rbac_cluster_admin

findings(role, subjects) := result if {
	result := rbac_cluster_admin.deny with input as {
		"parameters": {"roles": ["cluster-admin"]},
		"object": {"roleRef": {"name": role}, "subjects": subjects},
	}
}

test_own_role_passes if count(findings("reader", [{"kind": "ServiceAccount", "name": "web"}])) == 0

test_cluster_admin_is_denied if findings("cluster-admin", []) == {"it binds cluster-admin"}

test_everyone_is_denied if findings("reader", [{"kind": "Group", "name": "system:authenticated"}]) == {"it gives rights to system:authenticated"}

test_account_of_that_name_passes if count(findings("reader", [{"kind": "ServiceAccount", "name": "system:masters"}])) == 0

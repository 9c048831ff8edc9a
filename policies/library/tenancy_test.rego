package tenancy_test

import data.tenancy

findings(tenant, kind, namespace, name) := result if {
	result := tenancy.deny with input as {
		"parameters": {"tenants": {"team-a": {"namespaces": ["team-a", "team-a-*"], "clusterKinds": ["PriorityClass"]}}},
		"cluster": {"namespace": tenant}, "kind": kind, "namespace": namespace, "name": name,
	}
}

test_own_namespace_passes if count(findings("team-a", "Deployment", "team-a-web", "x")) == 0

test_other_namespace_is_denied if findings("team-a", "Deployment", "kube-system", "x") == {"namespace \"kube-system\" is none of tenant \"team-a\""}

test_like_named_namespace_is_denied if count(findings("team-a", "Deployment", "team-ab", "x")) == 1

test_cluster_kind_is_denied if findings("team-a", "ClusterRole", "", "x") == {"tenant \"team-a\" may not bring a ClusterRole: it is no object of a namespace"}

test_listed_kind_passes if count(findings("team-a", "PriorityClass", "", "x")) == 0

test_own_namespace_object_passes if count(findings("team-a", "Namespace", "", "team-a-new")) == 0

test_platform_passes if count(findings("fleet", "ClusterRole", "", "x")) == 0

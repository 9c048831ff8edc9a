package cluster_sizes_test

import data.cluster_sizes

findings(topology) := result if {
	result := cluster_sizes.deny with input as {
		"parameters": {"controlPlane": [3, 5], "least": 2, "most": 100},
		"object": {"spec": {"provision": {"topology": topology}}},
	}
}

workers(n) := {"machineDeployments": [{"replicas": n}]}

test_sane_passes if count(findings({"controlPlane": {"replicas": 3}, "workers": workers(5)})) == 0

test_even_control_plane_is_denied if findings({"controlPlane": {"replicas": 2}, "workers": workers(5)}) == {"the control plane has 2 replicas, and can have 3, 5"}

test_too_many_are_denied if findings({"controlPlane": {"replicas": 3}, "workers": workers(1000)}) == {"1000 worker nodes are more than 100"}

test_too_few_are_denied if count(findings({"controlPlane": {"replicas": 3}})) == 1

test_joined_cluster_passes if {
	result := cluster_sizes.deny with input as {"parameters": {"controlPlane": [3], "least": 1, "most": 9}, "object": {"spec": {}}}
	count(result) == 0
}

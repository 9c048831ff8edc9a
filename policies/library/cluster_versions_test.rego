package cluster_versions_test

import data.cluster_versions

findings(version) := result if {
	result := cluster_versions.deny with input as {
		"parameters": {"least": "1.34.0", "most": "1.37.0"},
		"object": {"spec": {"provision": {"topology": {"version": version}}}},
	}
}

test_in_range_passes if count(findings("v1.36.3")) == 0

test_old_is_denied if findings("v1.33.9") == {"Kubernetes 1.33.9 is older than 1.34.0, the least that is kept up"}

test_ahead_is_denied if count(findings("v1.37.0")) == 1

test_word_is_denied if findings("latest") == {"\"latest\" is no version of Kubernetes"}

test_joined_cluster_passes if {
	result := cluster_versions.deny with input as {"parameters": {"least": "1.34.0", "most": "1.37.0"}, "object": {"spec": {}}}
	count(result) == 0
}

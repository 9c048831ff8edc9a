package cluster_protection_test

import data.cluster_protection

findings(labels, deletion) := result if {
	result := cluster_protection.deny with input as {
		"parameters": {"label": "env", "values": ["prod"]},
		"object": {"metadata": {"labels": labels}, "spec": {"deletion": deletion}},
	}
}

test_protected_passes if count(findings({"env": "prod"}, {"protected": true})) == 0

test_default_passes if count(findings({"env": "prod"}, {})) == 0

test_unprotected_is_denied if count(findings({"env": "prod"}, {"protected": false})) == 1

test_staging_passes if count(findings({"env": "staging"}, {"protected": false})) == 0

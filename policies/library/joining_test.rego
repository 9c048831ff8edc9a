package joining_test

import data.joining

findings(join, labels) := result if {
	result := joining.deny with input as {
		"parameters": {"least": "1.2.0", "labels": ["approved-by"]},
		"join": join, "cluster": {"labels": labels},
	}
}

test_approved_passes if count(findings({"agentVersion": "v1.2.3", "provisioned": false}, {"approved-by": "ops"})) == 0

test_old_agent_is_denied if findings({"agentVersion": "v1.1.9", "provisioned": true}, {}) == {"agent 1.1.9 is older than 1.2.0"}

test_unapproved_is_denied if findings({"agentVersion": "v1.2.3", "provisioned": false}, {}) == {"the FleetCluster has no label approved-by"}

test_what_the_hub_made_needs_no_label if count(findings({"agentVersion": "v1.2.3", "provisioned": true}, {})) == 0

test_build_without_version_passes if count(findings({"agentVersion": "devel", "provisioned": true}, {})) == 0

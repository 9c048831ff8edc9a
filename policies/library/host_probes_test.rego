package host_probes_test

import data.host_probes

findings(container) := result if {
	result := host_probes.deny with input as {"containers": [object.union({"name": "a"}, container)]}
}

test_own_address_passes if count(findings({"livenessProbe": {"httpGet": {"path": "/", "port": 80}}})) == 0

test_other_host_is_named if findings({"readinessProbe": {"tcpSocket": {"host": "10.0.0.1", "port": 80}}}) == {"container \"a\": readinessProbe.tcpSocket goes to host 10.0.0.1"}

test_hook_is_seen if count(findings({"lifecycle": {"preStop": {"httpGet": {"host": "evil.example.com", "port": 80}}}})) == 1

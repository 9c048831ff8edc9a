package probes_test

import data.probes

findings(container) := result if {
	result := probes.deny with input as {
		"parameters": {"probes": ["readinessProbe"]},
		"pod": {"spec": {"containers": [object.union({"name": "a"}, container)]}},
	}
}

ports := {"ports": [{"containerPort": 80}]}

test_with_probe_passes if count(findings(object.union(ports, {"readinessProbe": {"httpGet": {"port": 80}}}))) == 0

test_without_probe_is_named if findings(ports) == {"container \"a\" serves and has no readinessProbe"}

test_what_serves_nothing_passes if count(findings({})) == 0

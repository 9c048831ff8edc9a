package host_process_test

import data.host_process

findings(spec, containers) := result if {
	result := host_process.deny with input as {"pod": {"spec": spec}, "containers": containers}
}

host := {"securityContext": {"windowsOptions": {"hostProcess": true}}}

test_plain_passes if count(findings({}, [{"name": "a"}])) == 0

test_pod_is_denied if count(findings(host, [{"name": "a"}])) == 1

test_container_is_named if findings({}, [object.union({"name": "a"}, host)]) == {"container \"a\" runs as a process of its node: securityContext.windowsOptions.hostProcess"}

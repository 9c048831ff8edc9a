package privileged_test

import data.privileged

findings(containers, spec) := result if {
	result := privileged.deny with input as {"containers": containers, "pod": {"spec": spec}}
}

test_plain_pod_passes if count(findings([{"name": "a"}], {})) == 0

test_privileged_container_is_denied if findings([{"name": "a", "securityContext": {"privileged": true}}], {}) == {"container \"a\" is privileged"}

test_host_namespace_is_denied if findings([], {"hostPID": true}) == {"the pod shares the host's namespace: hostPID"}

test_explicit_false_passes if count(findings([{"name": "a", "securityContext": {"privileged": false}}], {"hostNetwork": false})) == 0

package seccomp_test

import data.seccomp

findings(spec, containers) := result if {
	result := seccomp.deny with input as {"pod": {"spec": spec}, "containers": containers}
}

profile(type) := {"securityContext": {"seccompProfile": {"type": type}}}

test_unset_passes if count(findings({}, [{"name": "a"}])) == 0

test_default_passes if count(findings(profile("RuntimeDefault"), [])) == 0

test_unconfined_pod_is_denied if findings(profile("Unconfined"), []) == {"the pod's seccomp profile is Unconfined"}

test_unconfined_container_is_named if findings({}, [object.union({"name": "a"}, profile("Unconfined"))]) == {"container \"a\": its seccomp profile is Unconfined"}

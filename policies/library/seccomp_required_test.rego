package seccomp_required_test

import data.seccomp_required

findings(spec, container) := result if {
	result := seccomp_required.deny with input as {"pod": {"spec": spec}, "containers": [object.union({"name": "a"}, container)]}
}

profile(type) := {"securityContext": {"seccompProfile": {"type": type}}}

test_pods_is_enough if count(findings(profile("RuntimeDefault"), {})) == 0

test_own_is_enough if count(findings({}, profile("Localhost"))) == 0

test_none_is_denied if count(findings({}, {})) == 1

test_own_wins_over_pods if findings(profile("RuntimeDefault"), profile("Unconfined")) == {"container \"a\" has no seccomp profile: it is \"Unconfined\", and must be RuntimeDefault or Localhost"}

test_windows_passes if count(findings({"os": {"name": "windows"}}, {})) == 0

package non_root_test

import data.non_root

findings(pod, container) := result if {
	result := non_root.deny with input as {
		"pod": {"spec": {"securityContext": pod}},
		"containers": [{"name": "a", "securityContext": container}],
	}
}

test_pods_is_enough if count(findings({"runAsNonRoot": true}, {})) == 0

test_own_is_enough if count(findings({}, {"runAsNonRoot": true, "runAsUser": 1000})) == 0

test_unset_is_denied if findings({}, {}) == {"container \"a\" may run as root: securityContext.runAsNonRoot is not true"}

test_own_false_wins_over_pods if count(findings({"runAsNonRoot": true}, {"runAsNonRoot": false})) == 1

test_user_zero_is_denied if count(findings({"runAsNonRoot": true, "runAsUser": 0}, {"runAsUser": 0})) == 2

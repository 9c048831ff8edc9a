package privilege_escalation_test

import data.privilege_escalation

findings(spec, context) := result if {
	result := privilege_escalation.deny with input as {"pod": {"spec": spec}, "containers": [{"name": "a", "securityContext": context}]}
}

test_false_passes if count(findings({}, {"allowPrivilegeEscalation": false})) == 0

test_unset_is_denied if count(findings({}, {})) == 1

test_true_is_named if findings({}, {"allowPrivilegeEscalation": true}) == {"container \"a\" may gain rights: securityContext.allowPrivilegeEscalation is not false"}

test_windows_passes if count(findings({"os": {"name": "windows"}}, {})) == 0

package sysctls_test

import data.sysctls

findings(names) := result if {
	result := sysctls.deny with input as {
		"parameters": {"allowed": ["net.ipv4.tcp_syncookies"]},
		"pod": {"spec": {"securityContext": {"sysctls": [{"name": name, "value": "1"} | some name in names]}}},
	}
}

test_none_passes if count(findings([])) == 0

test_safe_passes if count(findings(["net.ipv4.tcp_syncookies"])) == 0

test_other_is_named if findings(["kernel.msgmax"]) == {"the pod sets sysctl kernel.msgmax"}

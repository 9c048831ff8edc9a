package capabilities_test

import data.capabilities

findings(add) := result if {
	result := capabilities.deny with input as {
		"parameters": {"allowed": ["CHOWN", "NET_BIND_SERVICE"]},
		"containers": [{"name": "a", "securityContext": {"capabilities": {"add": add}}}],
	}
}

test_allowed_passes if count(findings(["CHOWN"])) == 0

test_other_is_named if findings(["CHOWN", "SYS_ADMIN"]) == {"container \"a\" adds capability SYS_ADMIN"}

test_all_is_denied if count(findings(["ALL"])) == 1

test_without_context_passes if {
	result := capabilities.deny with input as {"parameters": {"allowed": []}, "containers": [{"name": "a"}]}
	count(result) == 0
}

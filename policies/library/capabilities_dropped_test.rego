package capabilities_dropped_test

import data.capabilities_dropped

findings(capabilities, spec) := result if {
	result := capabilities_dropped.deny with input as {
		"parameters": {"allowed": ["NET_BIND_SERVICE"]},
		"pod": {"spec": spec},
		"containers": [{"name": "a", "securityContext": {"capabilities": capabilities}}],
	}
}

test_dropped_passes if count(findings({"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, {})) == 0

test_not_dropped_is_denied if findings({}, {}) == {"container \"a\" does not drop ALL capabilities"}

test_some_dropped_is_not_enough if count(findings({"drop": ["KILL"]}, {})) == 1

test_added_back_is_denied if findings({"drop": ["ALL"], "add": ["CHOWN"]}, {}) == {"container \"a\" adds capability CHOWN"}

test_windows_passes if count(findings({}, {"os": {"name": "windows"}})) == 0

package volumes_test

import data.volumes

findings(volumes_of_pod) := result if {
	result := volumes.deny with input as {
		"parameters": {"allowed": ["configMap", "emptyDir"]},
		"pod": {"spec": {"volumes": volumes_of_pod}},
	}
}

test_safe_passes if count(findings([{"name": "a", "emptyDir": {}}, {"name": "b", "configMap": {"name": "b"}}])) == 0

test_other_is_named if findings([{"name": "a", "nfs": {"server": "x", "path": "/"}}]) == {"volume \"a\" is of type nfs"}

test_none_passes if count(findings([])) == 0

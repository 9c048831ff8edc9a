package privileged_test

import data.privileged

review(spec) := denied if {
	denied := privileged.deny with input as {
		"containers": object.get(spec, "containers", []),
		"pod": {"metadata": {}, "spec": spec},
		"parameters": {"hostPaths": ["/var/log"]},
	}
}

test_plain_pod_passes if count(review({"containers": [{"name": "a"}], "volumes": [{"name": "v", "emptyDir": {}}]})) == 0

test_privileged_container_is_denied if {
	review({"containers": [{"name": "a", "securityContext": {"privileged": true}}]}) == {`container "a" is privileged`}
}

test_host_namespaces_are_denied if {
	review({"hostNetwork": true, "hostPID": true, "hostIPC": false}) == {"the pod sets hostNetwork", "the pod sets hostPID"}
}

test_host_path_is_denied_unless_listed if {
	review({"volumes": [{"name": "v", "hostPath": {"path": "/etc"}}, {"name": "l", "hostPath": {"path": "/var/log"}}]}) == {
		`volume "v" mounts "/etc" of the node`,
	}
}

package host_paths_test

import data.host_paths

findings(volumes, allowed) := result if {
	result := host_paths.deny with input as {"parameters": {"allowed": allowed}, "pod": {"spec": {"volumes": volumes}}}
}

test_other_volumes_pass if count(findings([{"name": "a", "emptyDir": {}}], [])) == 0

test_host_path_is_named if findings([{"name": "a", "hostPath": {"path": "/etc"}}], []) == {"volume \"a\" mounts /etc of the node"}

test_allowed_folder_passes if count(findings([{"name": "a", "hostPath": {"path": "/var/log/pods"}}], ["/var/log"])) == 0

test_like_named_folder_is_denied if count(findings([{"name": "a", "hostPath": {"path": "/var/logs"}}], ["/var/log"])) == 1

test_way_out_is_denied if count(findings([{"name": "a", "hostPath": {"path": "/var/log/../../etc"}}], ["/var/log"])) == 1

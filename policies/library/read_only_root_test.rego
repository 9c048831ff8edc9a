package read_only_root_test

import data.read_only_root

findings(context) := result if {
	result := read_only_root.warn with input as {"pod": {"spec": {}}, "containers": [{"name": "a", "securityContext": context}]}
}

test_read_only_passes if count(findings({"readOnlyRootFilesystem": true})) == 0

test_unset_is_told if findings({}) == {"container \"a\" can write its root file system"}

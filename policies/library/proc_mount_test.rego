package proc_mount_test

import data.proc_mount

findings(context) := result if {
	result := proc_mount.deny with input as {"containers": [{"name": "a", "securityContext": context}]}
}

test_unset_passes if count(findings({})) == 0

test_default_passes if count(findings({"procMount": "Default"})) == 0

test_unmasked_is_named if findings({"procMount": "Unmasked"}) == {"container \"a\": securityContext.procMount is Unmasked"}

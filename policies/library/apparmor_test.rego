package apparmor_test

import data.apparmor

findings(metadata, spec, containers) := result if {
	result := apparmor.deny with input as {"pod": {"metadata": metadata, "spec": spec}, "containers": containers}
}

profile(type) := {"securityContext": {"appArmorProfile": {"type": type}}}

test_unset_passes if count(findings({}, {}, [{"name": "a"}])) == 0

test_local_passes if count(findings({}, profile("Localhost"), [])) == 0

test_unconfined_pod_is_denied if findings({}, profile("Unconfined"), []) == {"the pod's AppArmor profile is Unconfined"}

test_unconfined_container_is_named if findings({}, {}, [object.union({"name": "a"}, profile("Unconfined"))]) == {"container \"a\": its AppArmor profile is Unconfined"}

test_old_annotation_is_read if count(findings({"annotations": {"container.apparmor.security.beta.kubernetes.io/a": "unconfined"}}, {}, [])) == 1

test_old_default_passes if count(findings({"annotations": {"container.apparmor.security.beta.kubernetes.io/a": "runtime/default"}}, {}, [])) == 0

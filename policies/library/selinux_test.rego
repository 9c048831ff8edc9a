package selinux_test

import data.selinux

findings(spec, containers) := result if {
	result := selinux.deny with input as {"pod": {"spec": spec}, "containers": containers}
}

options(some_options) := {"securityContext": {"seLinuxOptions": some_options}}

test_unset_passes if count(findings({}, [{"name": "a"}])) == 0

test_container_type_passes if count(findings(options({"type": "container_t", "level": "s0:c1"}), [])) == 0

test_other_type_is_named if findings({}, [object.union({"name": "a"}, options({"type": "spc_t"}))]) == {"container \"a\": seLinuxOptions.type is spc_t"}

test_user_and_role_are_denied if findings(options({"user": "u", "role": "r"}), []) == {"the pod sets seLinuxOptions.user", "the pod sets seLinuxOptions.role"}

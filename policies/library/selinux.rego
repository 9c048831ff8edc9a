# METADATA
# title: SELinux labels are a container's
# description: A pod may take one of the container types, and neither a user nor a role (Pod Security Standards, baseline).
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: medium
#   points: [commit, gate, admission, audit]
#   action: deny
#   remediation: Leave seLinuxOptions out, or set a type that is allowed.
#   controls: [pss/baseline-selinux]
package selinux

contexts contains ["the pod", object.get(input.pod.spec, ["securityContext", "seLinuxOptions"], {})]

contexts contains [sprintf("container %q", [object.get(c, "name", "")]), object.get(c, ["securityContext", "seLinuxOptions"], {})] if {
	some c in input.containers
}

deny contains msg if {
	some [who, options] in contexts
	type := object.get(options, "type", "")
	not type in {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
	msg := sprintf("%s: seLinuxOptions.type is %s", [who, type])
}

deny contains msg if {
	some [who, options] in contexts
	some field in ["user", "role"]
	object.get(options, field, "") != ""
	msg := sprintf("%s sets seLinuxOptions.%s", [who, field])
}

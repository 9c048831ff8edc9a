# METADATA
# title: Seccomp is never off
# description: Unconfined lets a container make every system call of the kernel (Pod Security Standards, baseline).
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: medium
#   points: [commit, gate, admission, audit]
#   action: deny
#   remediation: Leave seccompProfile out, or set its type to RuntimeDefault.
#   controls: [pss/baseline-seccomp, cis-1.12/5.7.2]
package seccomp

deny contains "the pod's seccomp profile is Unconfined" if {
	object.get(input.pod.spec, ["securityContext", "seccompProfile", "type"], "") == "Unconfined"
}

deny contains msg if {
	some c in input.containers
	object.get(c, ["securityContext", "seccompProfile", "type"], "") == "Unconfined"
	msg := sprintf("container %q: its seccomp profile is Unconfined", [object.get(c, "name", "")])
}

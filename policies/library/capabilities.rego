# METADATA
# title: Containers add no dangerous capabilities
# description: Only the capabilities that a container runtime gives by default may be added (Pod Security Standards, baseline).
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: high
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {allowed: [AUDIT_WRITE, CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, MKNOD, NET_BIND_SERVICE, SETFCAP, SETGID, SETPCAP, SETUID, SYS_CHROOT]}
#   remediation: Take the capability out of securityContext.capabilities.add, or exempt the object with an owner and an end.
#   controls: [pss/baseline-capabilities, cis-1.12/5.2.8, nsa/pod-capabilities]
package capabilities

deny contains msg if {
	some c in input.containers
	some capability in object.get(c, ["securityContext", "capabilities", "add"], [])
	not capability in input.parameters.allowed
	msg := sprintf("container %q adds capability %s", [object.get(c, "name", ""), capability])
}

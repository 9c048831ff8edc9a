# METADATA
# title: No process gains rights
# description: allowPrivilegeEscalation false stops set-uid programs (Pod Security Standards, restricted). Windows pods have none.
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: medium
#   points: [commit, gate, admission, audit]
#   action: deny
#   remediation: Set securityContext.allowPrivilegeEscalation of the container to false.
#   controls: [pss/restricted-privilege-escalation, cis-1.12/5.2.6, nsa/pod-privilege-escalation]
package privilege_escalation

deny contains msg if {
	object.get(input.pod.spec, ["os", "name"], "") != "windows"
	some c in input.containers
	object.get(c, ["securityContext", "allowPrivilegeEscalation"], true) != false
	msg := sprintf("container %q may gain rights: securityContext.allowPrivilegeEscalation is not false", [object.get(c, "name", "")])
}

# METADATA
# title: No container runs as root
# description: The pod or each of its containers says runAsNonRoot, and none says user 0 (Pod Security Standards, restricted).
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: high
#   points: [commit, gate, admission, audit]
#   action: deny
#   remediation: Set securityContext.runAsNonRoot of the pod to true, and runAsUser to the image's user where it is not a number.
#   controls: [pss/restricted-non-root, cis-1.12/5.2.7, nsa/pod-non-root]
package non_root

deny contains msg if {
	of_pod := object.get(input.pod.spec, ["securityContext", "runAsNonRoot"], false)
	some c in input.containers
	object.get(c, ["securityContext", "runAsNonRoot"], of_pod) != true
	msg := sprintf("container %q may run as root: securityContext.runAsNonRoot is not true", [object.get(c, "name", "")])
}

deny contains "the pod runs as root: securityContext.runAsUser is 0" if {
	object.get(input.pod.spec, ["securityContext", "runAsUser"], 1) == 0
}

deny contains msg if {
	some c in input.containers
	object.get(c, ["securityContext", "runAsUser"], 1) == 0
	msg := sprintf("container %q runs as root: securityContext.runAsUser is 0", [object.get(c, "name", "")])
}

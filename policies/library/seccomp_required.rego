# METADATA
# title: Every container has a seccomp profile
# description: The pod or each of its containers names RuntimeDefault or Localhost (Pod Security Standards, restricted). Windows pods have none.
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: medium
#   points: [commit, gate, admission, audit]
#   action: deny
#   remediation: Set securityContext.seccompProfile.type of the pod to RuntimeDefault.
#   controls: [pss/restricted-seccomp, cis-1.12/5.7.2, nsa/pod-seccomp]
package seccomp_required

deny contains msg if {
	object.get(input.pod.spec, ["os", "name"], "") != "windows"
	of_pod := object.get(input.pod.spec, ["securityContext", "seccompProfile", "type"], "")
	some c in input.containers
	type := object.get(c, ["securityContext", "seccompProfile", "type"], of_pod)
	not type in {"RuntimeDefault", "Localhost"}
	msg := sprintf("container %q has no seccomp profile: it is %q, and must be RuntimeDefault or Localhost", [object.get(c, "name", ""), type])
}

# METADATA
# title: Containers drop all capabilities
# description: A container drops ALL and may add back only what is listed (Pod Security Standards, restricted). Windows pods have none.
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: medium
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {allowed: [NET_BIND_SERVICE]}
#   remediation: Set securityContext.capabilities.drop to [ALL], and add back NET_BIND_SERVICE alone where a port below 1024 is served.
#   controls: [pss/restricted-capabilities, cis-1.12/5.2.9, nsa/pod-capabilities]
package capabilities_dropped

deny contains msg if {
	not windows
	some c in input.containers
	not "ALL" in object.get(c, ["securityContext", "capabilities", "drop"], [])
	msg := sprintf("container %q does not drop ALL capabilities", [object.get(c, "name", "")])
}

deny contains msg if {
	not windows
	some c in input.containers
	some capability in object.get(c, ["securityContext", "capabilities", "add"], [])
	not capability in input.parameters.allowed
	msg := sprintf("container %q adds capability %s", [object.get(c, "name", ""), capability])
}

windows if object.get(input.pod.spec, ["os", "name"], "") == "windows"

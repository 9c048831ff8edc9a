# METADATA
# title: Containers state their resources
# description: Every container states the resources that its node must have and, for those listed, the limit at which it is stopped.
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: medium
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {requests: [cpu, memory], limits: [memory]}
#   remediation: Set resources.requests and resources.limits on the container.
package resources

deny contains msg if {
	some c in input.containers
	some kind in ["requests", "limits"]
	some resource in input.parameters[kind]
	not stated(c, kind, resource)
	msg := sprintf("container %q has no resources.%s.%s", [object.get(c, "name", ""), kind, resource])
}

stated(c, kind, resource) if {
	value := object.get(c, ["resources", kind, resource], "")
	not value in {"", null}
}

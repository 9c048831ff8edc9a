# METADATA
# title: No privileged pods
# description: Containers don't run privileged, don't gain privileges and don't share the node's namespaces or file system.
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: critical
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {hostPaths: []}
#   remediation: Remove the field, or ask for an exemption that names the workload.
#   controls: [pss/baseline]
package privileged

deny contains msg if {
	some c in input.containers
	object.get(c, ["securityContext", "privileged"], false) == true
	msg := sprintf("container %q is privileged", [object.get(c, "name", "")])
}

deny contains msg if {
	some field in ["hostNetwork", "hostPID", "hostIPC"]
	object.get(input.pod.spec, field, false) == true
	msg := sprintf("the pod sets %s", [field])
}

deny contains msg if {
	some volume in input.pod.spec.volumes
	path := volume.hostPath.path
	not path in input.parameters.hostPaths
	msg := sprintf("volume %q mounts %q of the node", [object.get(volume, "name", ""), path])
}

# METADATA
# title: Containers do not write their image
# description: A root file system that cannot be written keeps what breaks in from staying.
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: low
#   points: [commit, gate, admission, audit]
#   action: warn
#   remediation: Set securityContext.readOnlyRootFilesystem of the container to true, and mount an emptyDir where it writes.
#   controls: [nsa/pod-immutable]
package read_only_root

warn contains msg if {
	object.get(input.pod.spec, ["os", "name"], "") != "windows"
	some c in input.containers
	object.get(c, ["securityContext", "readOnlyRootFilesystem"], false) != true
	msg := sprintf("container %q can write its root file system", [object.get(c, "name", "")])
}

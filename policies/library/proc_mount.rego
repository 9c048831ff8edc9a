# METADATA
# title: The mask over /proc stays
# description: An unmasked /proc shows and changes the kernel of the node (Pod Security Standards, baseline).
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: high
#   points: [commit, gate, admission, audit]
#   action: deny
#   remediation: Leave securityContext.procMount out, or set it to Default.
#   controls: [pss/baseline-proc-mount]
package proc_mount

deny contains msg if {
	some c in input.containers
	mount := object.get(c, ["securityContext", "procMount"], "Default")
	mount != "Default"
	msg := sprintf("container %q: securityContext.procMount is %s", [object.get(c, "name", ""), mount])
}

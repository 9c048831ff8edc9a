# METADATA
# title: No Windows pod is a process of its node
# description: A HostProcess container runs with its node's rights (Pod Security Standards, baseline).
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: critical
#   points: [commit, gate, admission, audit]
#   action: deny
#   remediation: Take windowsOptions.hostProcess out of the security context.
#   controls: [pss/baseline-host-process]
package host_process

deny contains "the pod runs as a process of its node: securityContext.windowsOptions.hostProcess" if {
	object.get(input.pod.spec, ["securityContext", "windowsOptions", "hostProcess"], false) == true
}

deny contains msg if {
	some c in input.containers
	object.get(c, ["securityContext", "windowsOptions", "hostProcess"], false) == true
	msg := sprintf("container %q runs as a process of its node: securityContext.windowsOptions.hostProcess", [object.get(c, "name", "")])
}

# METADATA
# title: No pod is the host
# description: A privileged container, or one in the host's namespaces, is root on its node and from there in the cluster.
# custom:
#   input: periplus
#   kinds: [Pod, Deployment.apps, StatefulSet.apps, DaemonSet.apps, Job.batch, CronJob.batch]
#   severity: critical
#   points: [commit, gate, admission, audit]
#   action: deny
#   remediation: Drop the privilege. What cannot work without (storage drivers) gets a PolicyExemption with an owner and an end.
package privileged

deny contains msg if {
	some c in input.containers
	object.get(c, ["securityContext", "privileged"], false) == true
	msg := sprintf("container %q is privileged", [c.name])
}

deny contains msg if {
	some field in ["hostNetwork", "hostPID", "hostIPC"]
	object.get(input.pod.spec, field, false) == true
	msg := sprintf("the pod shares the host's namespace: %s", [field])
}

# METADATA
# title: Containers say what they need
# description: Requests let the scheduler place a pod; a memory limit keeps one pod from taking a node down.
# custom:
#   input: periplus
#   kinds: [Pod, Deployment.apps, StatefulSet.apps, DaemonSet.apps, Job.batch, CronJob.batch]
#   severity: medium
#   points: [commit, gate, admission, audit]
#   action: deny
#   remediation: Set resources.requests.cpu, resources.requests.memory and resources.limits.memory of every container.
package resources

required := [["requests", "cpu"], ["requests", "memory"], ["limits", "memory"]]

deny contains msg if {
	some c in input.containers
	some path in required
	not object.get(c, array.concat(["resources"], path), false)
	msg := sprintf("container %q has no resources.%s", [c.name, concat(".", path)])
}

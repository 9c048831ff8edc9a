# METADATA
# title: What serves says when it can
# description: Without a readiness probe traffic reaches a pod that cannot answer, and a rollout passes that should have stopped.
# custom:
#   input: periplus
#   kinds: [Deployment.apps, StatefulSet.apps, DaemonSet.apps]
#   severity: medium
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {probes: [readinessProbe]}
#   remediation: Give each container that serves the probes that are listed.
package probes

deny contains msg if {
	some c in object.get(input.pod.spec, "containers", [])
	count(object.get(c, "ports", [])) > 0
	some probe in input.parameters.probes
	object.get(c, probe, null) == null
	msg := sprintf("container %q serves and has no %s", [object.get(c, "name", ""), probe])
}

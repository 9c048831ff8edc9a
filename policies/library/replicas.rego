# METADATA
# title: What is depended on runs more than once
# description: One replica is an outage at each node that is drained.
# custom:
#   input: periplus
#   kinds: [Deployment.apps, StatefulSet.apps]
#   severity: low
#   points: [commit, gate, admission, audit]
#   action: warn
#   parameters: {least: 2}
#   remediation: Set spec.replicas, or name the object in a HorizontalPodAutoscaler and exempt it.
package replicas

warn contains msg if {
	replicas := object.get(input.object, ["spec", "replicas"], 1)
	replicas > 0
	replicas < input.parameters.least
	msg := sprintf("it runs %d times, and should %d", [replicas, input.parameters.least])
}

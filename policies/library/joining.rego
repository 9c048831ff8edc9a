# METADATA
# title: Clusters join with an agent that is kept up
# description: An agent that is older than the hub expects, or of a cluster that nobody approved, gets no certificate.
# custom:
#   input: periplus
#   kinds: [ClusterJoin.fleet.periplus.dev]
#   severity: high
#   points: [gate]
#   action: deny
#   parameters: {least: "", labels: []}
#   remediation: Install the agent chart of the hub's version, or put the label on the FleetCluster that says who approved it.
#   controls: [soc2/cc6.1]
package joining

deny contains msg if {
	version := trim_prefix(object.get(input.join, "agentVersion", ""), "v")
	semver.is_valid(version)
	input.parameters.least != ""
	semver.compare(version, input.parameters.least) < 0
	msg := sprintf("agent %s is older than %s", [version, input.parameters.least])
}

deny contains msg if {
	some label in input.parameters.labels
	object.get(input.cluster.labels, label, "") == ""
	not input.join.provisioned
	msg := sprintf("the FleetCluster has no label %s", [label])
}

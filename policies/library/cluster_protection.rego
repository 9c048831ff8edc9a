# METADATA
# title: Production clusters are protected
# description: "A protected cluster goes only by two commits: one that unprotects it, and one that removes it."
# custom:
#   input: periplus
#   kinds: [FleetCluster.fleet.periplus.dev]
#   severity: high
#   points: [commit, gate]
#   action: deny
#   parameters: {label: env, values: [prod]}
#   remediation: Set spec.deletion.protected to true.
#   controls: [soc2/a1.2]
package cluster_protection

deny contains "a production cluster must be protected: spec.deletion.protected is false" if {
	object.get(input.object, ["metadata", "labels", input.parameters.label], "") in input.parameters.values
	object.get(input.object, ["spec", "deletion", "protected"], true) == false
}

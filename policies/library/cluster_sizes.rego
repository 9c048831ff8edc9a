# METADATA
# title: Clusters have a sane size
# description: An even control plane cannot hold a vote, one node is no production, and a slip of a zero buys a thousand machines.
# custom:
#   input: periplus
#   kinds: [FleetCluster.fleet.periplus.dev]
#   severity: high
#   points: [commit, gate]
#   action: deny
#   parameters: {controlPlane: [1, 3, 5], least: 1, most: 200}
#   remediation: Set controlPlane.replicas and the replicas of the machine deployments within the bounds.
#   controls: [soc2/a1.1]
package cluster_sizes

topology := object.get(input.object, ["spec", "provision", "topology"], null)

deny contains msg if {
	topology != null
	replicas := object.get(topology, ["controlPlane", "replicas"], 1)
	not replicas in input.parameters.controlPlane
	msg := sprintf("the control plane has %d replicas, and can have %s", [replicas, concat(", ", [sprintf("%d", [n]) | some n in input.parameters.controlPlane])])
}

deny contains msg if {
	topology != null
	nodes := sum([object.get(md, "replicas", 1) | some md in object.get(topology, ["workers", "machineDeployments"], [])])
	nodes > input.parameters.most
	msg := sprintf("%d worker nodes are more than %d", [nodes, input.parameters.most])
}

deny contains msg if {
	topology != null
	nodes := sum([object.get(md, "replicas", 1) | some md in object.get(topology, ["workers", "machineDeployments"], [])])
	nodes < input.parameters.least
	msg := sprintf("%d worker nodes are fewer than %d", [nodes, input.parameters.least])
}

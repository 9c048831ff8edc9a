# METADATA
# title: Clusters are made of approved classes
# description: "A class is what the platform tested: machines, network, encryption. A region is where data may lie."
# custom:
#   input: periplus
#   kinds: [FleetCluster.fleet.periplus.dev]
#   severity: high
#   points: [commit, gate]
#   action: deny
#   parameters: {classes: [], regions: [], regionLabel: region, variables: {}}
#   remediation: Name an approved class in classRef, an approved region in the cluster's labels, and switch on what the class asks for.
#   controls: [soc2/cc6.1, soc2/c1.1]
package cluster_classes

topology := object.get(input.object, ["spec", "provision", "topology"], null)

deny contains msg if {
	topology != null
	class := object.get(topology, ["classRef", "name"], "")
	not approved(class)
	msg := sprintf("class %q is none of the approved", [class])
}

deny contains msg if {
	count(input.parameters.regions) > 0
	region := object.get(input.object, ["metadata", "labels", input.parameters.regionLabel], "")
	not region in input.parameters.regions
	msg := sprintf("region %q is none of the approved: label %s", [region, input.parameters.regionLabel])
}

# Variables of the class that must have a value, such as encryption at rest.
deny contains msg if {
	topology != null
	some name, want in input.parameters.variables
	not set_to(name, want)
	msg := sprintf("variable %s of the class must be %v", [name, want])
}

approved(_) if count(input.parameters.classes) == 0

approved(class) if {
	class != ""
	class in input.parameters.classes
}

set_to(name, want) if {
	some variable in object.get(topology, "variables", [])
	variable.name == name
	variable.value == want
}

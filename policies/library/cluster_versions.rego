# METADATA
# title: Clusters run a version that is kept up
# description: A minor version out of support gets no fixes; one ahead of the platform was tested by nobody.
# custom:
#   input: periplus
#   kinds: [FleetCluster.fleet.periplus.dev]
#   severity: high
#   points: [commit, gate]
#   action: deny
#   parameters: {least: "1.34.0", most: "1.37.0"}
#   remediation: Set spec.provision.topology.version to a version in the range.
#   controls: [cis-1.12/upgrades, soc2/cc7.1]
package cluster_versions

version := trim_prefix(object.get(input.object, ["spec", "provision", "topology", "version"], ""), "v")

deny contains msg if {
	version != ""
	semver.is_valid(version)
	semver.compare(version, input.parameters.least) < 0
	msg := sprintf("Kubernetes %s is older than %s, the least that is kept up", [version, input.parameters.least])
}

deny contains msg if {
	version != ""
	semver.is_valid(version)
	semver.compare(version, input.parameters.most) >= 0
	msg := sprintf("Kubernetes %s is ahead of the platform, which ends before %s", [version, input.parameters.most])
}

deny contains msg if {
	version != ""
	not semver.is_valid(version)
	msg := sprintf("%q is no version of Kubernetes", [version])
}

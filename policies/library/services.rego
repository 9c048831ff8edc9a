# METADATA
# title: Services open no way around the gate
# description: Node ports, external addresses and open load balancers reach pods past the Ingress that is watched.
# custom:
#   input: periplus
#   kinds: [Service]
#   severity: medium
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {types: [ClusterIP, ExternalName]}
#   remediation: Use a Service of type ClusterIP behind an Ingress or Gateway, or name who may connect in loadBalancerSourceRanges.
#   controls: [cis-1.12/5.3.1]
package services

deny contains msg if {
	type := object.get(input.object, ["spec", "type"], "ClusterIP")
	not type in input.parameters.types
	msg := sprintf("the Service is of type %s", [type])
}

deny contains "the Service has external addresses: spec.externalIPs" if {
	count(object.get(input.object, ["spec", "externalIPs"], [])) > 0
}

deny contains "the load balancer is open to everyone: spec.loadBalancerSourceRanges is missing" if {
	object.get(input.object, ["spec", "type"], "") == "LoadBalancer"
	"LoadBalancer" in input.parameters.types
	ranges := object.get(input.object, ["spec", "loadBalancerSourceRanges"], [])
	count([r | some r in ranges; not r in {"0.0.0.0/0", "::/0"}]) < max([count(ranges), 1])
}

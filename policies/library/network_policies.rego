# METADATA
# title: Network policies close, and open by name
# description: A rule without peers opens its pods to the whole network, and so undoes a default deny.
# custom:
#   input: periplus
#   kinds: [NetworkPolicy.networking.k8s.io]
#   severity: medium
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {open: []}
#   remediation: Name the peers in from or to; a policy that shall deny by default has no rules.
#   controls: [cis-1.12/5.3.2, nsa/network-default-deny]
package network_policies

deny contains msg if {
	some direction in [["ingress", "from"], ["egress", "to"]]
	some i, rule in object.get(input.object, ["spec", direction[0]], [])
	count(object.get(rule, direction[1], [])) == 0
	msg := sprintf("spec.%s[%d] opens to everyone: it has no %s", [direction[0], i, direction[1]])
}

deny contains msg if {
	some direction in [["ingress", "from"], ["egress", "to"]]
	some i, rule in object.get(input.object, ["spec", direction[0]], [])
	some peer in object.get(rule, direction[1], [])
	cidr := object.get(peer, ["ipBlock", "cidr"], "")
	cidr in {"0.0.0.0/0", "::/0"}
	not cidr in input.parameters.open
	msg := sprintf("spec.%s[%d] opens to everyone: %s", [direction[0], i, cidr])
}

# A policy over all pods that is meant to deny must do so both ways.
deny contains msg if {
	object.get(input.object, ["spec", "podSelector"], {}) == {}
	count(object.get(input.object, ["spec", "ingress"], [])) == 0
	count(object.get(input.object, ["spec", "egress"], [])) == 0
	some type in ["Ingress", "Egress"]
	not type in object.get(input.object, ["spec", "policyTypes"], ["Ingress"])
	msg := sprintf("it denies all pods by default, but not %s: name it in spec.policyTypes", [type])
}

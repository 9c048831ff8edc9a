# METADATA
# title: Hosts are the platform's
# description: A host outside of the domains that belong to the platform is a mistake or a trap; one without a name takes the traffic of all.
# custom:
#   input: periplus
#   kinds: [Ingress.networking.k8s.io, Gateway.gateway.networking.k8s.io, HTTPRoute.gateway.networking.k8s.io, GRPCRoute.gateway.networking.k8s.io, TLSRoute.gateway.networking.k8s.io]
#   severity: high
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {domains: [example.com], tls: true}
#   remediation: Serve under one of the domains in the parameters, and name it in the Ingress or route.
#   controls: [soc2/cc6.6]
package ingress_hosts

hosts contains host if {
	input.kind == "Ingress"
	some rule in object.get(input.object, ["spec", "rules"], [])
	host := object.get(rule, "host", "")
}

hosts contains host if {
	input.kind in {"HTTPRoute", "GRPCRoute", "TLSRoute"}
	some host in object.get(input.object, ["spec", "hostnames"], [])
}

hosts contains host if {
	input.kind == "Gateway"
	some listener in object.get(input.object, ["spec", "listeners"], [])
	host := object.get(listener, "hostname", "")
}

deny contains msg if {
	some host in hosts
	host != ""
	not belongs(host)
	msg := sprintf("host %q is under none of the platform's domains", [host])
}

deny contains "it serves every host: name one" if "" in hosts

deny contains "its traffic is not encrypted: spec.tls is missing" if {
	input.kind == "Ingress"
	input.parameters.tls == true
	count(object.get(input.object, ["spec", "tls"], [])) == 0
}

belongs(host) if {
	some domain in input.parameters.domains
	host == domain
}

belongs(host) if {
	some domain in input.parameters.domains
	endswith(host, concat("", [".", domain]))
}

# METADATA
# title: Gateway API
# custom:
#   kinds: [GatewayClass.gateway.networking.k8s.io, Gateway.gateway.networking.k8s.io, HTTPRoute.gateway.networking.k8s.io, GRPCRoute.gateway.networking.k8s.io]
package health.gateway_api

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.unless(input, "Accepted", ["Pending", "Waiting"]) if input.kind == "GatewayClass"

else := gateway if input.kind == "Gateway"

else := route

gateway := lib.waiting if lib.behind(input)

else := lib.failed(lib.say(c)) if {
	c := lib.condition(input, "Accepted")
	c.status == "False"
	not lib.reason(c) in {"Pending", "ListenersNotValid"}
}

else := lib.by(input, "Programmed", ["Invalid", "NoResources", "AddressNotUsable"])

# A route is as each of its parents says.
route := [v | some v in array.concat(open, [lib.ready])][0] if count(input.status.parents) > 0

else := lib.progressing("no gateway has taken the route yet")

open := [v |
	some p in input.status.parents
	some type in ["Accepted", "ResolvedRefs"]
	v := lib.unless({"metadata": input.metadata, "status": p}, type, ["Pending"])
	v.status != "Ready"
]

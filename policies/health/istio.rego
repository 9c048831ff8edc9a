# METADATA
# title: Istio
# custom:
#   kinds: [Gateway.networking.istio.io, VirtualService.networking.istio.io, IstioOperator.install.istio.io]
package health.istio

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.among(state, {"HEALTHY"}, {"ERROR", "ACTION_REQUIRED"}, lib.told(object.get(input, ["status", "message"], ""), state)) if {
	input.kind == "IstioOperator"
	state := object.get(input, ["status", "status"], "")
}

else := lib.failed(concat("; ", errors)) if count(errors) > 0

else := lib.by(input, "Reconciled", []) if lib.condition(input, "Reconciled")

else := lib.ready

# Istio writes a status only where it is told to.
errors := [text |
	some m in input.status.validationMessages
	m.level == "ERROR"
	text := sprintf("%s: see %s", [m.type.code, object.get(m, "documentationUrl", "Istio's analysis messages")])
]

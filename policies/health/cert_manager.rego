# METADATA
# title: cert-manager
# custom:
#   kinds: [Certificate.cert-manager.io, CertificateRequest.cert-manager.io, Issuer.cert-manager.io, ClusterIssuer.cert-manager.io, Order.acme.cert-manager.io, Challenge.acme.cert-manager.io]
package health.cert_manager

import data.health.lib

status := verdict.status

message := verdict.message

acme := {"Order", "Challenge"}

verdict := lib.among(state, {"valid"}, {"invalid", "errored", "expired"}, lib.told(object.get(input, ["status", "reason"], ""), state)) if {
	input.kind in acme
	state := object.get(input, ["status", "state"], "")
}

else := lib.waiting if lib.behind(input)

else := lib.failed(lib.say(refused)) if {
	some type in ["Denied", "InvalidRequest"]
	lib.is_true(input, type)
	refused := lib.condition(input, type)
}

else := lib.progressing(lib.say(lib.condition(input, "Issuing"))) if lib.is_true(input, "Issuing")

else := lib.failed(lib.say(issuing)) if {
	input.status.failedIssuanceAttempts > 0
	issuing := lib.condition(input, "Issuing")
	not lib.is_true(input, "Ready")
}

else := lib.by(input, "Ready", failures)

failures := ["*"] if input.kind in {"Issuer", "ClusterIssuer"}

else := ["Failed", "Denied", "Expired"]

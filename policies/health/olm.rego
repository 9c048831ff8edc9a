# METADATA
# title: Operator Lifecycle Manager
# custom:
#   kinds: [Subscription.operators.coreos.com, ClusterServiceVersion.operators.coreos.com]
package health.olm

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.failed(lib.say(c)) if {
	some type in ["ResolutionFailed", "CatalogSourcesUnhealthy", "InstallPlanFailed"]
	lib.is_true(input, type)
	c := lib.condition(input, type)
}

else := lib.among(state, {"AtLatestKnown", "Succeeded"}, {"Failed", "UpgradeFailed"}, lib.told(object.get(input, ["status", "message"], ""), state)) if {
	state := object.get(input, ["status", field], "")
}

field := "state" if input.kind == "Subscription"

else := "phase"

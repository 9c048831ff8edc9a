# METADATA
# title: Prometheus operator
# custom:
#   kinds: [Prometheus.monitoring.coreos.com, Alertmanager.monitoring.coreos.com, ThanosRuler.monitoring.coreos.com]
package health.prometheus

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.waiting if lib.behind(input)

else := lib.failed(lib.say(reconciled)) if {
	reconciled := lib.condition(input, "Reconciled")
	reconciled.status == "False"
}

else := lib.by(input, "Available", [])

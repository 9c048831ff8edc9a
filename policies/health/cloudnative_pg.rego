# METADATA
# title: CloudNativePG
# custom:
#   kinds: [Cluster.postgresql.cnpg.io]
package health.cloudnative_pg

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.among(state, {"Cluster in healthy state"}, bad, lib.told(object.get(input, ["status", "phaseReason"], ""), state)) if {
	state := object.get(input, ["status", "phase"], "")
}

bad := {
	"Cluster cannot proceed to reconciliation due to an unknown plugin being required",
	"Unable to create required cluster objects", "Not enough disk space", "Unrecoverable",
	"Cluster is unrecoverable and needs manual intervention",
}

# METADATA
# title: Rook
# custom:
#   kinds: [CephCluster.ceph.rook.io]
package health.rook

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.failed(lib.told(object.get(input, ["status", "message"], ""), "Failure")) if input.status.phase == "Failure"

else := lib.among(state, {"HEALTH_OK", "HEALTH_WARN"}, {"HEALTH_ERR"}, lib.told(text, state)) if {
	state := object.get(input, ["status", "ceph", "health"], "")
}

text := concat("; ", [m | some d in input.status.ceph.details; m := d.message]) if count(input.status.ceph.details) > 0

else := object.get(input, ["status", "message"], "")

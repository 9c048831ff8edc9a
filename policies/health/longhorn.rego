# METADATA
# title: Longhorn
# custom:
#   kinds: [Volume.longhorn.io]
package health.longhorn

import data.health.lib

status := verdict.status

message := verdict.message

robustness := object.get(input, ["status", "robustness"], "")

verdict := lib.failed("its data cannot be reached: all replicas are faulted") if robustness == "faulted"

else := lib.ready if object.get(input, ["status", "state"], "") == "detached"

else := lib.among(robustness, {"healthy"}, set(), lib.told("", robustness))

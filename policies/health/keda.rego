# METADATA
# title: KEDA
# custom:
#   kinds: [ScaledObject.keda.sh]
package health.keda

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.by(input, "Ready", ["*"])

# METADATA
# title: Elastic Cloud on Kubernetes
# custom:
#   kinds: [Elasticsearch.elasticsearch.k8s.elastic.co, Kibana.kibana.k8s.elastic.co]
package health.elastic

import data.health.lib

status := verdict.status

message := verdict.message

state := object.get(input, ["status", "health"], "")

verdict := lib.waiting if lib.behind(input)

else := lib.failed("its specification is invalid: see its events") if input.status.phase == "Invalid"

else := lib.progressing("changes are being applied") if input.status.phase in {"ApplyingChanges", "MigratingData"}

else := lib.among(state, {"green"}, {"red"}, lib.told("", state))

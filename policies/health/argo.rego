# METADATA
# title: Argo CD, Rollouts and Workflows
# custom:
#   kinds: [Application.argoproj.io, Rollout.argoproj.io, Workflow.argoproj.io]
package health.argo

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.among(state, {"Healthy"}, {"Degraded", "Missing"}, lib.told(object.get(input, ["status", "health", "message"], ""), state)) if {
	input.kind == "Application"
	state := object.get(input, ["status", "health", "status"], "")
}

else := lib.waiting if {
	input.kind == "Rollout"
	lib.behind(input)
}

else := lib.among(state, {"Healthy", "Succeeded"}, {"Degraded", "Failed", "Error"}, lib.told(object.get(input, ["status", "message"], ""), state)) if {
	input.kind in {"Rollout", "Workflow"}
	state := object.get(input, ["status", "phase"], "")
}

# METADATA
# title: Tekton
# custom:
#   kinds: [PipelineRun.tekton.dev, TaskRun.tekton.dev]
package health.tekton

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.by(input, "Succeeded", ["*"])

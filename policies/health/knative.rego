# METADATA
# title: Knative Serving
# custom:
#   kinds: [Service.serving.knative.dev, Route.serving.knative.dev, Revision.serving.knative.dev, Configuration.serving.knative.dev]
package health.knative

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.by(input, "Ready", ["*"])

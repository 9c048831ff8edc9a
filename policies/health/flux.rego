# METADATA
# title: Flux
# custom:
#   kinds: [GitRepository.source.toolkit.fluxcd.io, HelmRepository.source.toolkit.fluxcd.io, OCIRepository.source.toolkit.fluxcd.io, Bucket.source.toolkit.fluxcd.io, HelmChart.source.toolkit.fluxcd.io, Kustomization.kustomize.toolkit.fluxcd.io, HelmRelease.helm.toolkit.fluxcd.io]
package health.flux

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.ready if input.spec.type == "oci"

else := lib.waiting if lib.behind(input)

else := lib.failed(lib.say(lib.condition(input, "Stalled"))) if lib.is_true(input, "Stalled")

else := lib.unless(input, "Ready", ["Progressing", "ProgressingWithRetry", "DependencyNotReady"])

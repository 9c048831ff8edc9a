# METADATA
# title: External Secrets
# custom:
#   kinds: [ExternalSecret.external-secrets.io, SecretStore.external-secrets.io, ClusterSecretStore.external-secrets.io]
package health.external_secrets

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.by(input, "Ready", ["*"])

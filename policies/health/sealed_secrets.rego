# METADATA
# title: Sealed Secrets
# custom:
#   kinds: [SealedSecret.bitnami.com]
package health.sealed_secrets

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.by(input, "Synced", ["*"])

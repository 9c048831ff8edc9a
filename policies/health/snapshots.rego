# METADATA
# title: Volume snapshots
# custom:
#   kinds: [VolumeSnapshot.snapshot.storage.k8s.io]
package health.snapshots

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.ready if input.status.readyToUse

else := lib.failed(input.status.error.message) if input.status.error

else := lib.progressing("the snapshot is being taken")

# METADATA
# title: Velero
# custom:
#   kinds: [Backup.velero.io, Restore.velero.io, BackupStorageLocation.velero.io]
package health.velero

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.among(state, {"Completed", "Available"}, bad, lib.told(text, state)) if {
	state := object.get(input, ["status", "phase"], "")
}

bad := {"Failed", "PartiallyFailed", "FailedValidation", "Unavailable"}

text := input.status.failureReason if input.status.failureReason

else := concat("; ", input.status.validationErrors) if input.status.validationErrors

else := object.get(input, ["status", "message"], "")

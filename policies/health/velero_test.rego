package health.velero_test

import data.health.velero

cases := [
	{"want": "Ready", "object": {"kind": "Backup", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Completed"}}},
	{"want": "Progressing", "object": {"kind": "Restore", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "InProgress"}}},
	{"want": "Failed", "object": {"kind": "Backup", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "FailedValidation", "validationErrors": ["no location"]}}},
	{"want": "Failed", "object": {"kind": "Restore", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Failed", "failureReason": "gone"}}},
	{"want": "Failed", "object": {"kind": "BackupStorageLocation", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Unavailable", "message": "denied"}}},
	{"want": "Progressing", "object": {"kind": "Backup", "metadata": {"name": "a", "generation": 1}}},
]

test_health if {
	every c in cases {
		velero.status == c.want with input as c.object
		velero.message == velero.message with input as c.object
	}
}

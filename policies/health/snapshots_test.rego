package health.snapshots_test

import data.health.snapshots

cases := [
	{"want": "Ready", "object": {"kind": "VolumeSnapshot", "metadata": {"name": "a", "generation": 1}, "status": {"readyToUse": true}}},
	{"want": "Failed", "object": {"kind": "VolumeSnapshot", "metadata": {"name": "a", "generation": 1}, "status": {"readyToUse": false, "error": {"message": "no driver"}}}},
	{"want": "Progressing", "object": {"kind": "VolumeSnapshot", "metadata": {"name": "a", "generation": 1}}},
]

test_health if {
	every c in cases {
		snapshots.status == c.want with input as c.object
		snapshots.message == snapshots.message with input as c.object
	}
}

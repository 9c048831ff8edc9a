package health.rook_test

import data.health.rook

cases := [
	{"want": "Ready", "object": {"kind": "CephCluster", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Ready", "ceph": {"health": "HEALTH_OK"}}}},
	{"want": "Failed", "object": {"kind": "CephCluster", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Ready", "ceph": {"health": "HEALTH_ERR", "details": {"OSD_DOWN": {"message": "1 osd down"}}}}}},
	{"want": "Failed", "object": {"kind": "CephCluster", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Failure", "message": "no mon"}}},
	{"want": "Progressing", "object": {"kind": "CephCluster", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Progressing"}}},
]

test_health if {
	every c in cases {
		rook.status == c.want with input as c.object
		rook.message == rook.message with input as c.object
	}
}

package health.olm_test

import data.health.olm

cases := [
	{"want": "Ready", "object": {"kind": "Subscription", "metadata": {"name": "a", "generation": 1}, "status": {"state": "AtLatestKnown"}}},
	{"want": "Progressing", "object": {"kind": "Subscription", "metadata": {"name": "a", "generation": 1}, "status": {"state": "UpgradePending"}}},
	{"want": "Failed", "object": {"kind": "Subscription", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "ResolutionFailed", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Ready", "object": {"kind": "ClusterServiceVersion", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Succeeded"}}},
	{"want": "Failed", "object": {"kind": "ClusterServiceVersion", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Failed", "message": "no"}}},
	{"want": "Progressing", "object": {"kind": "ClusterServiceVersion", "metadata": {"name": "a", "generation": 1}}},
]

test_health if {
	every c in cases {
		olm.status == c.want with input as c.object
		olm.message == olm.message with input as c.object
	}
}
